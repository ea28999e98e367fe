//! How connections to Kafka are encrypted, and the client's certificate. What is here was parsed, so a client can be built
//! from it.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret as _, SecretString};

/// TLS for the connections to the brokers.
#[derive(Clone, Default)]
pub struct TlsSettings {
    ca_pem: Option<String>,
    identity: Option<ClientIdentity>,
}

/// The certificate by which the brokers know the bridge.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The certificate and those between it and its authority, in PEM.
    pub certificate_pem: String,
    /// The private key, in PEM and not encrypted.
    pub key_pem: SecretString,
}

/// Why TLS can't be set up. Shows nothing of keys or certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The authorities can't be used.
    #[error("must be PEM with at least one certificate: {0}")]
    Ca(String),
    /// The client's certificate can't be used.
    #[error("must be PEM with the client's certificate: {0}")]
    Certificate(String),
    /// The private key can't be used.
    #[error("must be PEM with an unencrypted private key that belongs to the certificate: {0}")]
    Key(String),
    /// The platform's trust store can't be read.
    #[error("the platform's trust store can't be read: {0}")]
    TrustStore(String),
}

impl TlsSettings {
    /// Brokers are verified against `ca_pem`, or the platform's trust store without it.
    ///
    /// # Errors
    /// [`TlsError`] says which of the parts can't be used.
    pub fn new(ca_pem: Option<String>, identity: Option<ClientIdentity>) -> Result<Self, TlsError> {
        let settings = Self { ca_pem, identity };
        settings.authorities()?;
        if let Some(identity) = &settings.identity {
            let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
            let builder = builder.map_err(|error| TlsError::TrustStore(error.to_string()))?;
            identity.add_to(builder.with_root_certificates(RootCertStore::empty()))?;
        }
        Ok(settings)
    }

    /// The authorities in PEM, if they are not the platform's.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The client's certificate and key.
    #[must_use]
    pub fn identity(&self) -> Option<&ClientIdentity> {
        self.identity.as_ref()
    }

    /// For a client on rustls. On Linux, `SSL_CERT_FILE` names another trust store than the platform's.
    ///
    /// # Errors
    /// [`TlsError::TrustStore`] if there is no own CA and the platform's trust store can't be read.
    pub fn rustls_config(&self) -> Result<ClientConfig, TlsError> {
        let trust_store = |error: rustls::Error| TlsError::TrustStore(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(trust_store)?;
        let builder = match self.authorities()? {
            Some(authorities) => builder.with_root_certificates(authorities),
            None => builder.with_platform_verifier().map_err(trust_store)?,
        };
        match &self.identity {
            Some(identity) => identity.add_to(builder),
            None => Ok(builder.with_no_client_auth()),
        }
    }

    fn authorities(&self) -> Result<Option<RootCertStore>, TlsError> {
        let Some(pem) = &self.ca_pem else { return Ok(None) };
        let mut store = RootCertStore::empty();
        for certificate in certificates(pem).map_err(TlsError::Ca)? {
            store.add(certificate).map_err(|error| TlsError::Ca(error.to_string()))?;
        }
        Ok(Some(store))
    }
}

impl ClientIdentity {
    fn add_to(
        &self,
        builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    ) -> Result<ClientConfig, TlsError> {
        let chain = certificates(&self.certificate_pem).map_err(TlsError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.expose_secret().as_bytes())
            .map_err(|error| TlsError::Key(error.to_string()))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| match error {
            rustls::Error::InvalidCertificate(_) => TlsError::Certificate(error.to_string()),
            other => TlsError::Key(other.to_string()),
        })
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let parsed = parsed.map_err(|error| error.to_string())?;
    if parsed.is_empty() { Err("it has none".to_owned()) } else { Ok(parsed) }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("own_ca", &self.ca_pem.is_some())
            .field("client_certificate", &self.identity.is_some())
            .finish()
    }
}
