//! What waits for the ledger's writers. Ends of payments go before all else: who was let in is not held up by who came later, and
//! ends are never more than what was begun.

use tokio::sync::mpsc;

/// Where jobs are put. Clones share it.
#[derive(Debug)]
pub(super) struct Queue<T> {
    ends: mpsc::Sender<T>,
    others: mpsc::Sender<T>,
}

/// Where they are taken from.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    ends: mpsc::Receiver<T>,
    others: mpsc::Receiver<T>,
}

/// As much waits as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A queue of so many ends, and so many others.
pub(super) fn queue<T>(max_waiting: usize) -> (Queue<T>, Waiting<T>) {
    let (ends, waiting_ends) = mpsc::channel(max_waiting);
    let (others, waiting_others) = mpsc::channel(max_waiting);
    (Queue { ends, others }, Waiting { ends: waiting_ends, others: waiting_others })
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { ends: self.ends.clone(), others: self.others.clone() }
    }
}

impl<T> Queue<T> {
    /// Puts a job in its place.
    ///
    /// # Errors
    /// When too much waits, or nobody takes anything any more.
    pub(super) fn put(&self, job: T, is_end: bool) -> Result<(), Full> {
        let queue = if is_end { &self.ends } else { &self.others };
        queue.try_send(job).map_err(|_| Full)
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        waiting(&self.ends) + waiting(&self.others)
    }

    /// Whether fewer than so many wait, ends aside: they are of what was let in before.
    pub(super) fn has_room(&self, max_others: usize) -> bool {
        waiting(&self.others) < max_others
    }
}

impl<T> Waiting<T> {
    /// Takes what waits into `batch`, as much as it may hold, and waits for something if nothing does. Nothing is taken only once nobody
    /// can put anything any more.
    pub(super) async fn take(&mut self, batch: &mut Vec<T>, max_batch: usize) {
        // Both close at once, and what waits is still taken then.
        batch.extend(tokio::select! {
            biased;
            job = self.ends.recv() => job,
            job = self.others.recv() => job,
        });
        while batch.len() < max_batch
            && let Ok(job) = self.ends.try_recv().or_else(|_| self.others.try_recv())
        {
            batch.push(job);
        }
    }
}

fn waiting<T>(queue: &mpsc::Sender<T>) -> usize {
    queue.max_capacity() - queue.capacity()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(waiting: &mut Waiting<u32>, max_batch: usize) -> Vec<u32> {
        let mut batch = Vec::new();
        waiting.take(&mut batch, max_batch).await;
        batch
    }

    #[tokio::test]
    async fn ends_go_first_and_nothing_is_left_behind() {
        let (queue, mut waiting) = queue(4);
        for (job, is_end) in [(1, false), (2, false), (3, true), (4, false), (5, true)] {
            assert_eq!(queue.put(job, is_end), Ok(()));
        }
        assert_eq!(queue.len(), 5);
        assert!(queue.has_room(4) && !queue.has_room(3), "ends take no room");
        assert_eq!(take(&mut waiting, 3).await, [3, 5, 1]);
        assert_eq!(queue.put(6, true), Ok(()));
        assert_eq!(take(&mut waiting, 1).await, [6]);
        assert_eq!(take(&mut waiting, 9).await, [2, 4]);
        for job in 0..4 {
            assert_eq!(queue.put(job, false), Ok(()));
        }
        assert_eq!(queue.put(4, false), Err(Full));
        assert_eq!(queue.put(5, true), Ok(()), "ends have places of their own");
        drop(queue);
        assert_eq!(take(&mut waiting, 9).await, [5, 0, 1, 2, 3]);
        assert!(take(&mut waiting, 9).await.is_empty());
    }

    #[tokio::test]
    async fn who_takes_waits_for_either_kind() {
        for is_end in [false, true] {
            let (queue, mut waiting) = queue(1);
            let (taken, put) = tokio::join!(take(&mut waiting, 2), async { queue.put(1, is_end) });
            assert_eq!((taken, put), (vec![1], Ok(())));
        }
    }
}
