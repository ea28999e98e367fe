//! What a provider must ask the user at a sign-in (`prompt`, OpenID Connect Core §3.1.2.1).

use serde::Deserialize;

/// A prompt, in ascending order of what the user has to do. `none` is excluded: the user must be able to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Choose an account.
    SelectAccount,
    /// Authenticate again.
    Login,
    /// Consent again.
    Consent,
}

impl Prompt {
    /// Reads the value of a setting or of a page's choice.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::SelectAccount, Self::Login, Self::Consent].into_iter().find(|prompt| prompt.value() == text)
    }

    /// Its value in an authorization request.
    #[must_use]
    pub fn value(self) -> &'static str {
        match self {
            Self::SelectAccount => "select_account",
            Self::Login => "login",
            Self::Consent => "consent",
        }
    }
}
