//! Who a request acts for, without the tokens. Most requests need no more, and opening a session's record for each of them
//! would take half of their time.

use std::rc::Rc;

use causeway_protocol::session::SessionHandle;

use super::{
    id::SessionId,
    record::{SealedRecord, SessionRecord},
    summary::Summary,
};

/// A valid session: its cookie opened, the coordinator confirmed it within the revocation bound. Its record was opened
/// once in this generation, maybe by an earlier request.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The session's id.
    pub id: SessionId,
    /// The session's handle.
    pub handle: SessionHandle,
    /// The version of the session's record.
    pub generation: u64,
    /// Whether the record is sealed under the active key.
    pub is_current: bool,
    /// Whether the cookie is, if the request has one.
    pub(super) is_cookie_current: bool,
    /// What the record says.
    pub summary: Rc<Summary>,
    /// The record.
    pub(super) stored: Rc<SealedRecord>,
    /// The same, if it was opened just now.
    pub(super) opened: Option<Box<SessionRecord>>,
}
