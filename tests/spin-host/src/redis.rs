//! `spin:redis`: each `open` opens a connection. Calls on a connection are pipelined, so a blocking command delays every
//! other call on it.

use http::Uri;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, Value, aio::MultiplexedConnection};
use wasmtime::component::{Accessor, Resource, ResourceTableError};

use crate::{
    bindings::redis::{Error, Host, HostConnection, HostConnectionWithStore, Payload, RedisParameter, RedisResult},
    guest::{Spin, SpinView},
};

/// An open connection, as the guest's resource table keeps it.
#[derive(Debug, Clone)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection(MultiplexedConnection);

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            redis::ErrorKind::UnexpectedReturnType => Self::TypeError,
            _ => Self::Other(error.to_string()),
        }
    }
}

async fn connect(address: &str) -> Result<Connection, Error> {
    let client = Client::open(address).map_err(|_| Error::InvalidAddress)?;
    // Spin sets no time limit for a reply. The library's default would end every blocking command.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    Ok(Connection(client.get_multiplexed_async_connection_with_config(&config).await?))
}

/// Appends a reply's values in their order. Their nesting is lost, as it is in Spin.
fn flatten(value: Value, into: &mut Vec<RedisResult>) -> Result<(), Error> {
    let flat = match value {
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(number),
        Value::Boolean(truth) => RedisResult::Int64(truth.into()),
        Value::BulkString(bytes) => RedisResult::Binary(bytes),
        Value::BigNumber(digits) => RedisResult::Binary(digits),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::SimpleString(status) => RedisResult::Status(status),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::Array(values) | Value::Set(values) => {
            return values.into_iter().try_for_each(|value| flatten(value, into));
        }
        Value::ServerError(error) => return Err(Error::Other(error.to_string())),
        other => return Err(Error::Other(format!("no result type for the reply {other:?}"))),
    };
    into.push(flat);
    Ok(())
}

/// The result of every call. An outer error is the host's and traps; an inner error is returned to the guest.
type Answer<R> = wasmtime::Result<Result<R, Error>>;

/// Runs a command on a clone of the connection, so that nothing is borrowed while it waits for the reply.
async fn run<T: Send, R: FromRedisValue>(
    accessor: &Accessor<T, Spin>,
    connection: &Resource<Connection>,
    command: &Cmd,
) -> Answer<R> {
    let mut connection =
        accessor.with(|mut access| Ok::<_, ResourceTableError>(access.get().table.get(connection)?.0.clone()))?;
    Ok(command.query_async(&mut connection).await.map_err(Error::from))
}

impl Host for SpinView<'_> {}

impl HostConnection for SpinView<'_> {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionWithStore<T> for Spin {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Answer<Resource<Connection>> {
        let allowed = accessor
            .with(|mut access| address.parse::<Uri>().is_ok_and(|uri| access.get().app.allowed.allows(&uri, "redis")));
        if !allowed {
            return Ok(Err(Error::InvalidAddress));
        }
        match connect(&address).await {
            Ok(connection) => Ok(Ok(accessor.with(|mut access| access.get().table.push(connection))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        channel: String,
        payload: Payload,
    ) -> Answer<()> {
        run(accessor, &connection, &Cmd::publish(channel, payload)).await
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Answer<Option<Payload>> {
        run(accessor, &connection, &Cmd::get(key)).await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        value: Payload,
    ) -> Answer<()> {
        run(accessor, &connection, &Cmd::set(key, value)).await
    }

    async fn incr(accessor: &Accessor<T, Self>, connection: Resource<Connection>, key: String) -> Answer<i64> {
        run(accessor, &connection, &Cmd::incr(key, 1)).await
    }

    async fn del(accessor: &Accessor<T, Self>, connection: Resource<Connection>, keys: Vec<String>) -> Answer<u32> {
        run(accessor, &connection, &Cmd::del(keys)).await
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        run(accessor, &connection, &Cmd::sadd(key, values)).await
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Answer<Vec<String>> {
        run(accessor, &connection, &Cmd::smembers(key)).await
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        run(accessor, &connection, &Cmd::srem(key, values)).await
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Answer<Vec<RedisResult>> {
        let mut command = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let reply: Result<Value, Error> = run(accessor, &connection, &command).await?;
        Ok(reply.and_then(|reply| {
            let mut results = Vec::new();
            flatten(reply, &mut results)?;
            Ok(results)
        }))
    }
}
