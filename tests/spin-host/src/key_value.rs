//! `spin:key-value`: all stores, in one file of the state folder.
//!
//! As in Spin, values do not expire and there is no compare-and-set. A guest that needs an expiry stores it in the value.

use std::{path::Path, sync::Arc};

use redb::{Database, ReadableDatabase, TableDefinition};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::{
    bindings::key_value::{Error, Host, HostStore, HostStoreWithStore},
    guest::{Spin, SpinView},
};

/// Keyed by the store's label and the key.
const ENTRIES: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("entries");

/// An open store, as the guest's resource table keeps it.
#[derive(Debug, Clone)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Label(Arc<str>);

/// The database behind all stores.
#[derive(Debug, Clone)]
pub(crate) struct KeyValues(Arc<Database>);

impl KeyValues {
    /// Opens the database in `folder`, and creates the folder if it is absent.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let database = Database::create(folder.join("key-value.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(ENTRIES)?;
        transaction.commit()?;
        Ok(Self(Arc::new(database)))
    }

    /// Runs `work` on a blocking thread: the database waits for the disk, and other guests must not.
    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<R, redb::Error> + Send + 'static,
    ) -> Result<R, Error> {
        let database = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&database))
            .await
            .map_err(|error| Error::Other(error.to_string()))?
            .map_err(|error| Error::Other(error.to_string()))
    }

    async fn get(&self, Label(label): Label, key: String) -> Result<Option<Vec<u8>>, Error> {
        self.run(move |database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            Ok(table.get((&*label, key.as_str()))?.map(|value| value.value().to_vec()))
        })
        .await
    }

    /// Writes the value; `None` deletes the key.
    async fn write(&self, Label(label): Label, key: String, value: Option<Vec<u8>>) -> Result<(), Error> {
        self.run(move |database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(ENTRIES)?;
                match &value {
                    Some(value) => table.insert((&*label, key.as_str()), value.as_slice())?,
                    None => table.remove((&*label, key.as_str()))?,
                };
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    async fn keys(&self, Label(label): Label) -> Result<Vec<String>, Error> {
        self.run(move |database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            let mut keys = Vec::new();
            for entry in table.range((&*label, "")..)? {
                let (key, _) = entry?;
                let (found, key) = key.value();
                if found != &*label {
                    break;
                }
                keys.push(key.to_owned());
            }
            Ok(keys)
        })
        .await
    }
}

/// Clones what a call needs of the store, so that nothing is borrowed while it waits.
fn opened<T: Send>(accessor: &Accessor<T, Spin>, store: &Resource<Label>) -> wasmtime::Result<(KeyValues, Label)> {
    accessor.with(|mut access| {
        let view = access.get();
        Ok((view.app.key_values.clone(), view.table.get(store)?.clone()))
    })
}

impl Host for SpinView<'_> {}

impl HostStore for SpinView<'_> {
    fn drop(&mut self, store: Resource<Label>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T: Send> HostStoreWithStore<T> for Spin {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> wasmtime::Result<Result<Resource<Label>, Error>> {
        accessor.with(|mut access| {
            let view = access.get();
            if !view.app.stores.contains(&label) {
                return Ok(Err(Error::AccessDenied));
            }
            Ok(Ok(view.table.push(Label(label.into()))?))
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Label>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let (stores, label) = opened(accessor, &store)?;
        Ok(stores.get(label, key).await)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Label>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (stores, label) = opened(accessor, &store)?;
        Ok(stores.write(label, key, Some(value)).await)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Label>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (stores, label) = opened(accessor, &store)?;
        Ok(stores.write(label, key, None).await)
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Label>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let (stores, label) = opened(accessor, &store)?;
        Ok(stores.get(label, key).await.map(|value| value.is_some()))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Label>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (stores, label) = opened(accessor, &store)?;
        let (keys, result) = match stores.keys(label).await {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let result = FutureReader::new(&mut access, async move { Ok::<_, wasmtime::Error>(result) })?;
            Ok((keys, result))
        })
    }
}
