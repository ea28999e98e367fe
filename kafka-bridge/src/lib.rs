//! Causeway's native side, between the edge and Kafka.
//!
//! Inbound, an event comes over HTTPS and is answered once Kafka has it; outbound, records are fetched, delivered to
//! the users' buffers, and only then passed over by the checkpoint, which rests beside them: at the edge where the edge
//! can keep them, or in Redis, from where the bridge then serves the streams itself.
//! The bridge itself keeps nothing that a restart could lose.
//!
//! From the outside in:
//!
//! - [`config`]: the environment, read once into types
//! - [`server`]: builds everything, serves until told to stop, drains
//! - [`listen`]: connections and their time limits
//! - [`http`]: the routes, and [`rejection`]: what they answer when they refuse
//! - [`inbound`]: `POST /v1/events` → one record in Kafka, acknowledged
//! - [`outbound`]: Kafka → `/internal/deliver` of the edge, or Redis
//! - [`hop`]: the users' buffers in Redis
//! - [`stream`]: `GET /v1/stream`, Server-Sent Events from there
//! - [`dead_letter`]: where records go that can't be decoded or delivered
//! - [`topics`]: which topics there are, and how many partitions each has
//! - [`kafka`]: the small trait behind which a Kafka client sits, and rskafka behind it
//! - [`partitioner`]: the Java client's choice of partition
//! - [`backoff`], [`health`], [`metrics`]: retries, readiness, figures

pub mod backoff;
pub mod config;
pub mod dead_letter;
pub mod health;
pub mod hop;
pub mod http;
pub mod inbound;
pub mod kafka;
pub mod listen;
pub mod metrics;
pub mod outbound;
pub mod partitioner;
pub mod rejection;
pub mod server;
pub mod stream;
pub mod topics;
