//! Clients that work on while the cluster is disturbed, and fail at the first refusal.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{api::Api, wait::until};

/// Clients that write and read at every node until the test stops them; gives how much they did.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    /// Each client gives its last write.
    clients: Vec<tokio::task::JoinHandle<(String, usize)>>,
}

/// How much the clients did.
pub(crate) struct Done {
    pub(crate) answered: usize,
    /// The last write of each client, by its entry.
    pub(crate) last: Vec<(String, usize)>,
}

impl Load {
    pub(crate) fn on(apis: Vec<Api>) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = apis.into_iter().enumerate().map(|(node, api)| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let key = format!("load-{node}");
                api.create(&key, 0).await.with(201);
                let mut turn = 0;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    api.put(&key, turn).await.with(200);
                    assert_eq!(api.value(&key).await, turn);
                    done.fetch_add(2, Ordering::Relaxed);
                }
                (key, turn)
            })
        });
        Self {
            clients: clients.collect(),
            stop,
            done,
        }
    }

    /// Waits until so many more requests were answered.
    pub(crate) async fn goes_on(&self) {
        let from = self.done.load(Ordering::Relaxed);
        until("clients are answered", async || {
            (self.done.load(Ordering::Relaxed) > from + 20).then_some(())
        })
        .await;
    }

    pub(crate) async fn end(self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        let mut last = Vec::new();
        for client in self.clients {
            last.push(client.await.unwrap());
        }
        let answered = self.done.load(Ordering::Relaxed);
        Done { answered, last }
    }
}
