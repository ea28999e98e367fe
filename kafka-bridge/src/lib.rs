//! Causeway's native service between the edge and Kafka.
//!
//! - [`config`]: reads the environment once into typed settings.
//! - [`server`]: builds all parts, serves until shutdown, then drains.
//! - [`file_limit`]: raises the limit of open files.
//! - [`listen`]: accepts connections and limits how long a client may take.
//! - [`http`]: the routes.
//! - [`rejection`]: why requests are rejected, and the problem documents that say so.
//! - [`inbound`]: writes each `POST /v1/events` to Kafka as one record and waits for the acknowledgement.
//! - [`outbound`]: delivers Kafka records to the users' buffers, at the edge or in Redis.
//! - [`redis_store`]: the users' buffers and the checkpoints in Redis.
//! - [`replay`]: reads from Kafka again what a buffer no longer has.
//! - [`stream`]: serves `GET /v1/stream` as Server-Sent Events from the buffers in Redis.
//! - [`dead_letter`]: writes records that can't be decoded or delivered to a dead-letter topic.
//! - [`topics`]: tracks which topics exist and how many partitions each has.
//! - [`kafka`]: the trait in front of a Kafka client, and its implementation on rskafka.
//! - [`partitioner`]: chooses partitions as Kafka's Java client does.
//! - [`health`]: the state of each dependency, for `/readyz`.
//! - [`metrics`]: the metrics behind `/metrics`.
//! - [`span`]: spans for OpenTelemetry.
//! - [`backoff`]: waits between retries.
//! - [`clock`]: Unix time.
//!
//! A restart loses nothing. An event is answered once Kafka has stored it. The checkpoint is stored beside the users'
//! buffers and moves only after the records before it are stored there.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod dead_letter;
pub mod file_limit;
pub mod health;
pub mod http;
pub mod inbound;
pub mod kafka;
pub mod listen;
pub mod metrics;
pub mod outbound;
pub mod partitioner;
pub mod redis_store;
pub mod rejection;
pub mod replay;
pub mod server;
pub mod span;
pub mod stream;
pub mod topics;
