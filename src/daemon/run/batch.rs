//! Messages that wait together are taken together.

use tokio::sync::mpsc::Receiver;

/// Takes a message and those that wait behind it: at most `limit`, and none after `take` says that it is enough. A
/// message that is received is taken; one that is not goes on waiting.
pub(super) fn take_waiting<T>(
    first: T,
    waiting: &mut Receiver<T>,
    limit: usize,
    mut take: impl FnMut(T) -> bool,
) {
    let mut message = first;
    for taken in 1.. {
        if !take(message) || taken >= limit {
            return;
        }
        match waiting.try_recv() {
            Ok(next) => message = next,
            Err(_) => return,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_message_is_taken_once_and_in_order() {
        for limit in [1, 2, 3, 32, 200] {
            let (sender, mut waiting) = tokio::sync::mpsc::channel(100);
            for number in 0..100 {
                sender.try_send(number).unwrap();
            }
            drop(sender);
            let mut taken = Vec::new();
            let mut largest = 0;
            while let Some(first) = waiting.recv().await {
                let before = taken.len();
                take_waiting(first, &mut waiting, limit, |number| {
                    taken.push(number);
                    number % 7 != 0
                });
                largest = largest.max(taken.len() - before);
            }
            assert!(taken.iter().copied().eq(0..100), "limit {limit}: {taken:?}");
            assert_eq!(largest, limit.min(7));
        }
    }
}
