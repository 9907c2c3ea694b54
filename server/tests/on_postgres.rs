//! What clients see of logins and methods, once more with PostgreSQL as the store.

#![allow(
    clippy::duplicate_mod,
    reason = "each of the two files has the common module for itself"
)]

#[path = "login.rs"]
mod login;
#[path = "methods.rs"]
mod methods;
