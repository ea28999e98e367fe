//! Which sessions a task may end or change, apart from using its own.

/// What a task may do to sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Use its own session only.
    Use,
    /// End the session of this sign-in.
    End(u64),
    /// End any session of this user.
    EndAllOf(u64),
    /// End any session of this user that was signed in up to this time.
    EndSignedInUntil { user: u64, until_ms: u64 },
    /// Remove a linked account from its own session.
    Disconnect,
}
