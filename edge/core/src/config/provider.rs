//! The identity providers of a deployment.

use super::{Source, reader::Reader};
use crate::{
    http::origin::Origin,
    oauth::{
        client_key::ClientKey,
        entra::is_guid,
        prompt::Prompt,
        provider::{ClientAuth, Kind, Provider, RefreshPolicy, Tenants},
        restriction::is_scope,
    },
};

/// Most tenants per deployment: a front-channel logout without a tenant looks each of them up.
const MAX_TENANTS: usize = 100;

impl<S: Source> Reader<'_, S> {
    pub(super) fn providers(&mut self, public_origin: &Origin) -> Vec<Provider> {
        let mut providers = Vec::new();
        if let Some(client_id) = self.optional("ENTRA_CLIENT_ID") {
            providers.extend(self.entra(client_id, public_origin));
        }
        if let Some(client_id) = self.optional("GITHUB_CLIENT_ID") {
            providers.extend(self.github(client_id, public_origin));
        }
        providers.extend(self.openid_providers(public_origin));
        if providers.is_empty() && self.problems.is_empty() {
            self.report(
                "ENTRA_CLIENT_ID",
                "or GITHUB_CLIENT_ID or OIDC_PROVIDERS must be set: there is no provider to sign in with",
            );
        }
        providers
    }

    fn entra(&mut self, client_id: String, public_origin: &Origin) -> Option<Provider> {
        let client_auth = self.entra_client_auth();
        let tenants = self.tenants();
        let groups = self.guids("ENTRA_GROUPS");
        let prompt = self.prompt("ENTRA_PROMPT");
        let authority = self.url("ENTRA_AUTHORITY", Some("https://login.microsoftonline.com"))?;
        Some(Provider {
            id: "entra".to_owned(),
            name: "Microsoft".to_owned(),
            client_id,
            client_auth: client_auth?,
            redirect_uri: redirect_uri(public_origin, "entra"),
            scopes: ["openid", "profile", "email", "offline_access", "User.Read"].map(str::to_owned).to_vec(),
            audience: None,
            restrictions: Vec::new(),
            max_age_seconds: None,
            prompt,
            dpop: false,
            // Entra supports S256 without listing it.
            pkce_unlisted: true,
            ends_session: true,
            strict_logout_typ: false,
            refresh: RefreshPolicy::ENTRA,
            kind: Kind::Entra { tenants: tenants?, authority, groups: groups? },
        })
    }

    /// What the provider must ask the user at every sign-in, if anything.
    fn prompt(&mut self, key: &'static str) -> Option<Prompt> {
        let text = self.optional(key)?;
        Prompt::parse(&text).or_else(|| self.reject(key, "must be `consent`, `login` or `select_account`"))
    }

    /// The client's authentication: either a secret or a certificate's key.
    fn entra_client_auth(&mut self) -> Option<ClientAuth> {
        let Some(jwk) = self.optional("ENTRA_CLIENT_KEY") else {
            return self.required_secret("ENTRA_CLIENT_SECRET").map(ClientAuth::Post);
        };
        if self.optional("ENTRA_CLIENT_SECRET").is_some() {
            return self.reject("ENTRA_CLIENT_KEY", "and ENTRA_CLIENT_SECRET must not both be set");
        }
        match ClientKey::from_rsa_jwk_for_pss(&jwk) {
            Ok(key) if key.names_certificate() => Some(ClientAuth::PrivateKey(Box::new(key))),
            Ok(_) => self.reject("ENTRA_CLIENT_KEY", "must have the certificate's thumbprint as `x5t#S256`"),
            Err(error) => self.reject("ENTRA_CLIENT_KEY", error.to_string()),
        }
    }

    fn tenants(&mut self) -> Option<Tenants> {
        let tenant = self.required("ENTRA_TENANT");
        let allowed = self.guids("ENTRA_TENANTS")?;
        let tenant = tenant?;
        match tenant.as_str() {
            "organizations" | "common" if allowed.is_empty() => {
                self.reject("ENTRA_TENANTS", "must list the tenants whose users may sign in")
            }
            "organizations" | "common" if allowed.len() > MAX_TENANTS => {
                self.reject("ENTRA_TENANTS", format!("must not hold more than {MAX_TENANTS}"))
            }
            "organizations" | "common" => Some(Tenants::Multi { endpoint: tenant, allowed }),
            _ if !is_guid(&tenant) => self.reject(
                "ENTRA_TENANT",
                "must be the tenant's id, a lower-case GUID; or `organizations` or `common` with ENTRA_TENANTS",
            ),
            _ if !allowed.is_empty() => {
                self.reject("ENTRA_TENANTS", "is for an ENTRA_TENANT of `organizations` or `common` only")
            }
            _ => Some(Tenants::Single(tenant)),
        }
    }

    /// The GUIDs of a comma-separated list; empty if the key is unset or the empty string. A value such as `,` or a blank is
    /// rejected: read as an empty list, it would let every user in (S134).
    fn guids(&mut self, key: &'static str) -> Option<Vec<String>> {
        let Some(text) = self.source.get(key).filter(|text| !text.is_empty()) else { return Some(Vec::new()) };
        let guids: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        if guids.iter().all(|guid| is_guid(guid)) {
            Some(guids)
        } else {
            self.reject(key, "must be lower-case GUIDs, separated by commas")
        }
    }

    /// The scopes: by default what `GET /user` needs.
    fn github_scopes(&mut self) -> Vec<String> {
        let text = self.optional("GITHUB_SCOPES").unwrap_or_else(|| "read:user".to_owned());
        let scopes: Vec<String> = text.split(',').map(|scope| scope.trim().to_owned()).collect();
        if !scopes.iter().all(|scope| is_scope(scope)) {
            self.report("GITHUB_SCOPES", "must be scopes such as `read:user`, separated by commas");
        }
        scopes
    }

    fn github(&mut self, client_id: String, public_origin: &Origin) -> Option<Provider> {
        let client_secret = self.required_secret("GITHUB_CLIENT_SECRET");
        let scopes = self.github_scopes();
        let prompt = self.prompt("GITHUB_PROMPT");
        let site = self.url("GITHUB_URL", Some("https://github.com"));
        let api = self.url("GITHUB_API_URL", Some("https://api.github.com"))?;
        Some(Provider {
            id: "github".to_owned(),
            name: "GitHub".to_owned(),
            client_id,
            // GitHub reads the secret from the body only.
            client_auth: ClientAuth::Post(client_secret?),
            redirect_uri: redirect_uri(public_origin, "github"),
            scopes,
            audience: None,
            restrictions: Vec::new(),
            max_age_seconds: None,
            prompt,
            dpop: false,
            pkce_unlisted: false,
            ends_session: true,
            strict_logout_typ: false,
            refresh: RefreshPolicy::GITHUB,
            kind: Kind::GitHub { site: site?, api },
        })
    }
}

pub(super) fn redirect_uri(public_origin: &Origin, id: &str) -> String {
    format!("{public_origin}/auth/{id}/callback")
}
