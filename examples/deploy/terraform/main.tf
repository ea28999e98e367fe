# What an edge on Cloudflare Workers needs beside itself: a KV namespace, a name for the bridge, a rule that lets the bridge
# and webhooks through, and an app registration in Entra ID. `wrangler deploy` deploys the Worker and its domain.
#
#   terraform init && terraform apply -var account_id=… -var zone_id=… -var domain=example.com -var bridge_address=192.0.2.1

terraform {
  required_version = ">= 1.6"
  required_providers {
    azuread = {
      source  = "hashicorp/azuread"
      version = "~> 3.0"
    }
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5.19"
    }
  }
}

variable "account_id" {
  type        = string
  description = "Cloudflare's account."
}

variable "zone_id" {
  type        = string
  description = "Cloudflare's zone of the domain."
}

variable "domain" {
  type        = string
  description = "The site of the pages that embed the widget, such as example.com."
}

variable "bridge_address" {
  type        = string
  description = "The public IPv4 address at which TLS for the bridge ends."
}

locals {
  edge = "https://chat.${var.domain}"
}

# Put its id into wrangler.toml: id = "…". Without an id `wrangler deploy` makes a namespace by itself.
resource "cloudflare_workers_kv_namespace" "sessions" {
  account_id = var.account_id
  title      = "causeway-sessions"
}

# Not proxied: the edge connects to it directly, and its requests are signed.
resource "cloudflare_dns_record" "bridge" {
  zone_id = var.zone_id
  name    = "bridge.${var.domain}"
  type    = "A"
  content = var.bridge_address
  ttl     = 300
  proxied = false
}

# Programs call these paths, and each request is signed. A challenge for browsers would stop them. Bot Fight Mode cannot be
# skipped by a rule: turn it off, or use Super Bot Fight Mode (docs/platforms.md).
resource "cloudflare_ruleset" "programs" {
  zone_id = var.zone_id
  name    = "Causeway: requests of programs"
  kind    = "zone"
  phase   = "http_request_firewall_custom"
  rules = [{
    description = "The bridge's deliveries, logouts and webhooks are verified by the edge"
    action      = "skip"
    action_parameters = {
      phases = ["http_request_sbfm"]
    }
    expression = join(" ", [
      "http.host eq \"chat.${var.domain}\" and (starts_with(http.request.uri.path, \"/internal/\")",
      "or http.request.uri.path eq \"/auth/github/webhook\"",
      "or ends_with(http.request.uri.path, \"/backchannel-logout\"))",
    ])
    enabled = true
  }]
}

data "azuread_application_published_app_ids" "well_known" {}

data "azuread_service_principal" "graph" {
  client_id = data.azuread_application_published_app_ids.well_known.result.MicrosoftGraph
}

resource "azuread_application" "edge" {
  display_name     = "Causeway"
  sign_in_audience = "AzureADMyOrg"

  # Web: refresh tokens of single-page applications end after a day.
  web {
    redirect_uris = [
      "${local.edge}/auth/entra/callback",
      "${local.edge}/auth/entra/logged-out",
    ]
    logout_url = "${local.edge}/auth/entra/frontchannel-logout"
  }

  optional_claims {
    id_token { name = "sid" }
  }

  required_resource_access {
    resource_app_id = data.azuread_application_published_app_ids.well_known.result.MicrosoftGraph
    resource_access {
      id   = data.azuread_service_principal.graph.oauth2_permission_scope_ids["User.Read"]
      type = "Scope"
    }
  }
}

# The application in this tenant. Without it nobody can sign in, and no one can be assigned to it or consent for others.
resource "azuread_service_principal" "edge" {
  client_id = azuread_application.edge.client_id
}

resource "azuread_application_password" "edge" {
  application_id = azuread_application.edge.id
  display_name   = "edge"
}

output "kv_namespace_id" {
  value = cloudflare_workers_kv_namespace.sessions.id
}

output "ENTRA_CLIENT_ID" {
  value = azuread_application.edge.client_id
}

# terraform output -raw ENTRA_CLIENT_SECRET | npx wrangler secret put ENTRA_CLIENT_SECRET
output "ENTRA_CLIENT_SECRET" {
  value     = azuread_application_password.edge.value
  sensitive = true
}
