//! Writes of many callers in one transaction.
//!
//! What a commit costs, above all that it waits for the disk, is the same for one login as for a
//! hundred. Whoever writes while another transaction is at work joins those that wait, and all of
//! them are committed together. No one of them is answered before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sqlx::AnyPool;
use tokio::sync::oneshot;

use super::{Dialect, Writing};
use crate::store::StoreError;

/// A write that may share its transaction with others.
#[async_trait]
pub(super) trait Write: Send + Sync + 'static {
    /// What the caller gets once it is committed.
    type Answer: Send + 'static;

    /// Its statements. They run once more if the transaction did not come about because of another
    /// write.
    async fn run(&self, transaction: &mut Writing) -> Result<Self::Answer, StoreError>;
}

/// The writes that wait for the one connection by which SQLite is written.
pub(super) struct Group {
    writer: AnyPool,
    waiting: Arc<Mutex<Members>>,
}

impl Group {
    pub(super) fn new(writer: AnyPool) -> Self {
        Self {
            writer,
            waiting: Arc::default(),
        }
    }

    /// Writes, together with others if there are any.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let member = Box::new(Waiting {
            write,
            answer: None,
            reply,
        });
        let is_first = {
            let mut waiting = lock(&self.waiting);
            waiting.push(member);
            waiting.len() == 1
        };
        if is_first {
            // A task of its own: the others need it even if the caller goes away.
            tokio::spawn(lead(self.writer.clone(), Arc::clone(&self.waiting)));
        }
        // No answer: the task has panicked, or the runtime stops.
        answer
            .await
            .unwrap_or(Err(sqlx::Error::WorkerCrashed.into()))
    }
}

type Members = Vec<Box<dyn Member>>;

fn lock(waiting: &Mutex<Members>) -> MutexGuard<'_, Members> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the connection, commits all that have come meanwhile, and answers them.
async fn lead(writer: AnyPool, waiting: Arc<Mutex<Members>>) {
    let begun = Dialect::Sqlite.begin(&writer).await;
    let mut members = std::mem::take(&mut *lock(&waiting));
    let mut result = match begun {
        Ok(transaction) => together(transaction, &mut members).await,
        Err(error) => Err(Failed::All(error)),
    };
    // One that fails takes nobody with it: the others begin again without it.
    while let Err(Failed::One(place, error)) = result {
        members.remove(place).answer(Err(error));
        result = match Dialect::Sqlite.begin(&writer).await {
            Ok(transaction) => together(transaction, &mut members).await,
            Err(error) => Err(Failed::All(error)),
        };
    }
    let failure = match result {
        Err(Failed::All(error)) => Some(Arc::new(error)),
        _ => None,
    };
    for member in members {
        member.answer(match &failure {
            None => Ok(()),
            Some(error) => Err(StoreError::Together(Arc::clone(error))),
        });
    }
}

/// Why a transaction did not come about.
enum Failed {
    /// By the statements of the write in that place.
    One(usize, StoreError),
    /// By its begin or its commit.
    All(StoreError),
}

async fn together(mut transaction: Writing, members: &mut [Box<dyn Member>]) -> Result<(), Failed> {
    for (place, member) in members.iter_mut().enumerate() {
        if let Err(error) = member.run(&mut transaction).await {
            // Whether or not it can be rolled back, the connection is clean before its next use.
            let _ = transaction.rollback().await;
            return Err(Failed::One(place, error));
        }
    }
    let committed = transaction.commit().await;
    committed.map_err(|error| Failed::All(error.into()))
}

/// A [`Write`] of any kind, with its caller.
#[async_trait]
trait Member: Send {
    async fn run(&mut self, transaction: &mut Writing) -> Result<(), StoreError>;

    /// Tells the caller how it ended.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

struct Waiting<W: Write> {
    write: W,
    answer: Option<W::Answer>,
    reply: oneshot::Sender<Result<W::Answer, StoreError>>,
}

#[async_trait]
impl<W: Write> Member for Waiting<W> {
    async fn run(&mut self, transaction: &mut Writing) -> Result<(), StoreError> {
        self.answer = Some(self.write.run(transaction).await?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { answer, reply, .. } = *self;
        let result = result.and_then(|()| answer.ok_or(sqlx::Error::WorkerCrashed.into()));
        // The caller may have gone away.
        let _ = reply.send(result);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::join;
    use sqlx::AnyConnection;

    use super::*;
    use crate::store::{DatabaseAddress, SqlStore, Store, StoreOptions};

    async fn store(folder: &tempfile::TempDir) -> SqlStore {
        let address = DatabaseAddress::Sqlite(folder.path().join("skyline.db"));
        StoreOptions::new(address).open().await.unwrap()
    }

    /// Makes a product and answers how many another connection sees; none if it has no name.
    struct Product(&'static str, AnyPool);

    async fn products(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT COUNT(*) FROM products")
            .fetch_one(connection)
            .await
    }

    #[async_trait]
    impl Write for Product {
        type Answer = i64;

        async fn run(&self, transaction: &mut Writing) -> Result<i64, StoreError> {
            sqlx::query("INSERT INTO products (id) VALUES ($1)")
                .bind(self.0)
                .execute(&mut **transaction)
                .await?;
            if self.0.is_empty() {
                return Err(StoreError::Corrupt("name"));
            }
            Ok(products(&mut *self.1.acquire().await?).await?)
        }
    }

    #[tokio::test]
    async fn those_that_wait_are_committed_together_and_one_that_fails_alone_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let product = |name| Product(name, store.readers.clone());
        let busy = store.begin().await.unwrap();
        let (first, nameless, last, ()) = join!(
            store.write(product("first")),
            store.write(product("")),
            store.write(product("last")),
            async { busy.commit().await.unwrap() },
        );
        assert_eq!(first.unwrap(), 0);
        assert!(matches!(nameless, Err(StoreError::Corrupt("name"))));
        assert_eq!(last.unwrap(), 0, "the first is not committed before");
        let names = store.products().await.unwrap();
        let names: Vec<_> = names.into_iter().map(|product| product.id).collect();
        assert_eq!(names, ["first", "last"]);
        assert_eq!(store.write(product("later")).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_transaction_that_cannot_begin_fails_for_all_that_wait() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        store.close().await;
        let product = |name| Product(name, store.readers.clone());
        let (one, other) = join!(store.write(product("one")), store.write(product("other")));
        for result in [one, other] {
            assert!(matches!(result, Err(StoreError::Together(_))));
        }
    }
}
