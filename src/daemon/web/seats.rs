//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// Connections at a time, over all listeners. More wait until one ends.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Connections at a time from one address (IPv6: from one /64 network). More are closed at once.
pub(super) const MAX_FROM_ONE: usize = 64;

/// The places that connections take.
#[derive(Clone)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Default for Seats {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            taken: Arc::default(),
        }
    }
}

/// A place among all of them, until it is dropped.
pub(super) struct Place(
    #[expect(dead_code, reason = "it is given back when dropped")] OwnedSemaphorePermit,
);

/// A place among those of one address, until it is dropped.
pub(super) struct Seat {
    seats: Seats,
    address: IpAddr,
    _place: Place,
}

impl Seats {
    pub(super) fn are_taken(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// How many connections there are.
    pub(super) fn taken(&self) -> usize {
        let taken = self.taken.lock();
        let taken = taken.unwrap_or_else(PoisonError::into_inner);
        taken.values().sum()
    }

    /// A place for the next connection, as soon as there is one. `None`: never again.
    pub(super) async fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.ok().map(Place)
    }

    /// The place for a connection from this address; `None`: it has too many already.
    pub(super) fn seat(&self, address: IpAddr, place: Place) -> Option<Seat> {
        let address = network(address);
        let taken = self.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= MAX_FROM_ONE {
            return None;
        }
        *count += 1;
        Some(Seat {
            seats: self.clone(),
            address,
            _place: place,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let taken = self.seats.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_leaves_places_for_others_and_gives_its_own_back() {
        let seats = Seats::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let mut held = Vec::new();
        for _ in 0..MAX_FROM_ONE {
            held.push(seats.seat(one, seats.place().await.unwrap()).unwrap());
        }
        assert!(seats.seat(mapped, seats.place().await.unwrap()).is_none());
        let other = "192.0.2.2".parse().unwrap();
        assert!(seats.seat(other, seats.place().await.unwrap()).is_some());
        held.pop();
        assert!(seats.seat(mapped, seats.place().await.unwrap()).is_some());
        held.clear();
        assert!(seats.taken.lock().unwrap().is_empty());
        assert_eq!(seats.free.available_permits(), MAX_CONNECTIONS);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::5"), of("2001:db8:0:1:ffff::9"));
        assert_ne!(of("2001:db8:0:1::5"), of("2001:db8:0:2::5"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
