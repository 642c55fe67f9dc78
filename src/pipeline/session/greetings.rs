//! EHLO answers: the same few come a hundred thousand times, so each is read once.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use crate::pipeline::record::Cell;
use crate::pipeline::reply;

/// How many distinct answers are remembered. Exchange Online has some hundreds of front ends in a region, and each names
/// itself; when there are more, they are forgotten together and read anew.
const MAX_KNOWN: usize = 1024;
/// The longest answer that is remembered, in bytes.
const MAX_BYTES: usize = 1024;

/// What an EHLO answer says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeting {
    /// The address from which Exchange Online sees the client come.
    pub(super) client: Option<IpAddr>,
}

/// Answers read so far.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    /// `None`: not an answer of Exchange Online.
    known: HashMap<Box<[u8]>, Option<Greeting>, FixedState>,
}

impl Greetings {
    /// What a line of an EHLO answer says. The address in brackets is believed only when the host is Exchange Online's;
    /// `None`: it is not, or this is not the line.
    pub(super) fn read(&mut self, data: Cell<'_>) -> Option<Greeting> {
        if !reply::may_be_hello(data.raw()) {
            return None;
        }
        if let Some(known) = self.known.get(data.raw()) {
            return *known;
        }
        let greeting = read(&data.bytes());
        if data.raw().len() <= MAX_BYTES {
            if self.known.len() >= MAX_KNOWN {
                self.known.clear();
            }
            self.known.insert(data.raw().into(), greeting);
        }
        greeting
    }
}

fn read(data: &[u8]) -> Option<Greeting> {
    let hello = reply::hello(data)?;
    reply::is_exchange_online(hello.host).then_some(Greeting {
        client: hello.client,
    })
}
