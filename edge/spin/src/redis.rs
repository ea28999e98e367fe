//! Redis: one connection an instance, every command with a deadline. What is stored, and under which condition, is
//! said by the callers in `platform`.

use std::{cell::RefCell, pin::pin, rc::Rc, time::Duration};

use causeway_core::runtime::unavailable::Unavailable;
use futures_util::future::{Either, select};
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

/// Its name in errors.
const PART: &str = "redis";
/// Below what the callers wait, so that a dead connection is noticed here.
const DEADLINE: Duration = Duration::from_millis(2500);

thread_local! {
    static CONNECTION: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

/// Runs a command. A connection that failed is opened anew for the next one.
pub(crate) async fn execute(
    url: &str,
    command: &str,
    parameters: Vec<RedisParameter>,
) -> Result<Vec<RedisResult>, Unavailable> {
    let mut doubt = Consumption(None);
    let result = within(async {
        let connection = connection(url).await?;
        doubt.0 = Some(Rc::clone(&connection));
        // The error is not quoted: it could hold the address with its password.
        connection
            .execute(command, parameters)
            .await
            .map_err(|_| Unavailable::new(PART, format_args!("{command} failed")))
    })
    .await;
    if result.is_ok() {
        doubt.0 = None;
    }
    result
}

/// A connection in use: unless it proved itself, it is forgotten, also when the caller gave up waiting.
struct Consumption(Option<Rc<Connection>>);

impl Drop for Consumption {
    fn drop(&mut self) {
        let Some(doubted) = self.0.take() else { return };
        let is_current = CONNECTION.with_borrow(|current| current.as_ref().is_some_and(|it| Rc::ptr_eq(it, &doubted)));
        if is_current {
            CONNECTION.set(None);
        }
    }
}

async fn connection(url: &str) -> Result<Rc<Connection>, Unavailable> {
    if let Some(connection) = CONNECTION.with_borrow(Clone::clone) {
        return Ok(connection);
    }
    let connection = Connection::open(url).await.map_err(|_| Unavailable::new(PART, "cannot connect"))?;
    let connection = Rc::new(connection);
    CONNECTION.set(Some(Rc::clone(&connection)));
    Ok(connection)
}

async fn within<T>(work: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Unavailable> {
    match select(pin!(work), pin!(spin_sdk::time::sleep(DEADLINE))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Unavailable::new(PART, "no answer in time")),
    }
}

/// A text parameter.
pub(crate) fn text(value: &str) -> RedisParameter {
    RedisParameter::Binary(value.as_bytes().to_vec())
}
