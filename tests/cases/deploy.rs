//! How Rialto is deployed: the images, the manifests of Kubernetes and compose.yaml, judged by their own tools and by rules.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "deploy/availability.rs"]
mod availability;
#[path = "deploy/compose.rs"]
mod compose;
#[path = "deploy/containers.rs"]
mod containers;
#[path = "deploy/hardening.rs"]
mod hardening;
#[path = "deploy/images.rs"]
mod images;
#[path = "deploy/manifests.rs"]
mod manifests;
#[path = "deploy/network.rs"]
mod network;
#[path = "deploy/operators.rs"]
mod operators;
#[path = "deploy/settings.rs"]
mod settings;
#[path = "deploy/tools.rs"]
mod tools;
