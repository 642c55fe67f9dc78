//! The same certificate comes a million times: it is parsed once.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::certificate::block::Block;
use crate::pipeline::certificate::row::parse_row;
use crate::pipeline::record::Cell;

/// How many bytes of distinct certificate rows are remembered. A server presents a handful of certificates of about
/// 500 bytes; a log that holds more is read all the same, only slower.
pub const MAX_KNOWN_BYTES: usize = 1 << 20;

/// Certificates seen so far, by the bytes of their rows, and those of form A by their thumbprint as well.
#[derive(Debug, Default)]
pub struct KnownCertificates {
    rows: HashMap<Box<[u8]>, Arc<Certificate>, FixedState>,
    block_rows: HashMap<Box<[u8]>, Arc<Certificate>, FixedState>,
    blocks: HashMap<Thumbprint, Arc<Certificate>, FixedState>,
    bytes: usize,
}

impl KnownCertificates {
    /// The certificate of a one-row block.
    pub fn row(&mut self, data: Cell<'_>) -> Arc<Certificate> {
        if let Some(known) = self.rows.get(data.raw()) {
            return Arc::clone(known);
        }
        let certificate = Arc::new(parse_row(&data.bytes()));
        self.make_room(data.raw().len());
        self.rows
            .insert(data.raw().into(), Arc::clone(&certificate));
        certificate
    }

    /// The certificate of a block of several rows. A block that was cut short is filled up from a whole one with the
    /// same thumbprint.
    pub fn block(&mut self, block: Block) -> Arc<Certificate> {
        let Some(rows) = block.rows() else {
            return self.filled_up(block.finish());
        };
        if let Some(known) = self.block_rows.get(rows) {
            return Arc::clone(known);
        }
        let rows: Box<[u8]> = rows.into();
        let certificate = self.filled_up(block.finish());
        // What another one was filled up from may change.
        if !certificate.is_cut_short() {
            self.make_room(rows.len());
            self.block_rows.insert(rows, Arc::clone(&certificate));
        }
        certificate
    }

    fn filled_up(&mut self, found: Certificate) -> Arc<Certificate> {
        let Some(thumbprint) = found.thumbprint else {
            return Arc::new(found);
        };
        if let Some(known) = self.blocks.get(&thumbprint)
            && (**known == found || found.is_cut_short())
        {
            return Arc::clone(known);
        }
        self.make_room(found.weight());
        let certificate = Arc::new(found);
        self.blocks.insert(thumbprint, Arc::clone(&certificate));
        certificate
    }

    /// A certificate that is known from elsewhere may fill up a block that was cut short.
    pub fn remember(&mut self, certificate: &Arc<Certificate>) {
        if let Some(thumbprint) = certificate.thumbprint
            && !certificate.is_cut_short()
            && !self.blocks.contains_key(&thumbprint)
        {
            self.make_room(certificate.weight());
            self.blocks.insert(thumbprint, Arc::clone(certificate));
        }
    }

    fn make_room(&mut self, bytes: usize) {
        if self.bytes + bytes > MAX_KNOWN_BYTES {
            self.rows.clear();
            self.block_rows.clear();
            self.blocks.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
    }
}
