//! Everything that is tested from outside the library: golden cases on the real binary, and the rules of the tree.

mod cases;
mod tidy;
