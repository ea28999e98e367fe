//! Randomness as a trait.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use zeroize::Zeroizing;

use super::unavailable::Unavailable;

/// Randomness fit for keys.
pub trait Random {
    /// Fills the buffer.
    ///
    /// # Errors
    /// Without randomness nothing may go on.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable>;
}

/// 32 random bytes as 43 characters: a state, a nonce or a code verifier.
pub(crate) fn random_text(random: &impl Random) -> Result<String, Unavailable> {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(bytes.as_mut())?;
    Ok(BASE64.encode(bytes.as_ref()))
}
