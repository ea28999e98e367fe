//! What the edge depends on, by the names that the log and the documentation use.

use super::closed_list::closed_list;

closed_list! {
    /// What was unavailable: mostly a service that the edge depends on, else a step of its own that failed for no fault of
    /// the request, such as sealing. Its name in kebab case, with `-unavailable`, is the reason of the rejected request.
    pub enum Dependency {
        AccessToken = "access token",
        Bridge = "bridge",
        Checkpoints = "checkpoints",
        Client = "client",
        Clock = "clock",
        Coordinator = "coordinator",
        Dpop = "DPoP",
        GitHub = "GitHub",
        GitHubApp = "GitHub App",
        Hub = "hub",
        IdentityProvider = "identity provider",
        KeyValue = "kv",
        Logout = "logout",
        LogoutToken = "logout token",
        Randomness = "randomness",
        RateLimiter = "rate limiter",
        Readiness = "readiness",
        Redis = "redis",
        ReplayGuard = "once-only tokens",
        Seal = "seal",
        SessionCoordinator = "session coordinator",
        SessionIndex = "session index",
        SessionRecord = "session record",
        SignIn = "sign-in",
        Upstream = "upstream",
        Userinfo = "userinfo",
    }
}
