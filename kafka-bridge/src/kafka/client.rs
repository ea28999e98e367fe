//! Builds the client that the settings choose.

use std::sync::Arc;

use super::{KafkaClient, KafkaIo, KafkaSettings, RskafkaIo, RskafkaOptions, TlsError, TokenSourceError};

/// Why a client can't be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Tokens can't be asked for.
    #[error(transparent)]
    Token(#[from] TokenSourceError),
}

/// Builds it. It connects on first use.
///
/// # Errors
/// [`ClientError`] says what is missing.
pub fn client(settings: &KafkaSettings) -> Result<Arc<dyn KafkaIo>, ClientError> {
    match settings.client {
        KafkaClient::Rskafka => {
            let rskafka = RskafkaIo::new(RskafkaOptions::new(settings.clone()))?;
            #[cfg(feature = "rdkafka")]
            let rskafka = super::second_reader::WithSecondReader::new(rskafka, settings)?;
            Ok(Arc::new(rskafka))
        }
        #[cfg(feature = "rdkafka")]
        KafkaClient::Rdkafka => Ok(Arc::new(super::RdkafkaIo::new(settings.clone())?)),
    }
}
