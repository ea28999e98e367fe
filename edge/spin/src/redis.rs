//! Redis: one connection per instance and address, and a deadline for every command. The callers in `platform` choose the commands.

use std::{cell::RefCell, pin::pin, rc::Rc, time::Duration};

use causeway_core::runtime::{dependency::Dependency, unavailable::Unavailable};
use futures_util::future::{Either, select};
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};
use zeroize::Zeroizing;

/// The dependency that errors name.
const DEPENDENCY: Dependency = Dependency::Redis;
/// Shorter than the callers' deadlines, so that a dead connection is noticed here.
const DEADLINE: Duration = Duration::from_millis(2500);

thread_local! {
    /// The connection and its address, which may change.
    static CONNECTION: RefCell<Option<(Zeroizing<String>, Rc<Connection>)>> = const { RefCell::new(None) };
}

/// Runs a command. After a failure, the next command opens a new connection.
pub(crate) async fn execute(
    url: &str,
    command: &str,
    parameters: Vec<RedisParameter>,
) -> Result<Vec<RedisResult>, Unavailable> {
    let mut in_use = InUse(None);
    let result = within(async {
        let connection = connection(url).await?;
        in_use.0 = Some(Rc::clone(&connection));
        // The error is not quoted: it could contain the address with its password.
        connection
            .execute(command, parameters)
            .await
            .map_err(|_| Unavailable::new(DEPENDENCY, format_args!("{command} failed")))
    })
    .await;
    if result.is_ok() {
        in_use.0 = None;
    }
    result
}

/// A connection in use. Unless its command succeeded, it is discarded, also if the caller stopped waiting.
struct InUse(Option<Rc<Connection>>);

impl Drop for InUse {
    fn drop(&mut self) {
        let Some(connection) = self.0.take() else { return };
        let is_current =
            CONNECTION.with_borrow(|current| current.as_ref().is_some_and(|(_, it)| Rc::ptr_eq(it, &connection)));
        if is_current {
            CONNECTION.set(None);
        }
    }
}

async fn connection(url: &str) -> Result<Rc<Connection>, Unavailable> {
    let open = CONNECTION.with_borrow(|current| {
        let (_, connection) = current.as_ref().filter(|(address, _)| address.as_str() == url)?;
        Some(Rc::clone(connection))
    });
    if let Some(connection) = open {
        return Ok(connection);
    }
    let connection = Connection::open(url).await.map_err(|_| Unavailable::new(DEPENDENCY, "cannot connect"))?;
    let connection = Rc::new(connection);
    CONNECTION.set(Some((Zeroizing::new(url.to_owned()), Rc::clone(&connection))));
    Ok(connection)
}

async fn within<T>(work: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Unavailable> {
    match select(pin!(work), pin!(spin_sdk::time::sleep(DEADLINE))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Unavailable::new(DEPENDENCY, "no answer in time")),
    }
}

/// A text parameter.
pub(crate) fn text(value: &str) -> RedisParameter {
    RedisParameter::Binary(value.as_bytes().to_vec())
}
