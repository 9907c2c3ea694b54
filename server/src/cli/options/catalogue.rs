//! The commands on products and plans.

use clap::{Args, Subcommand};
use url::{Host, Url};

use super::{AdminOptions, limit};
use crate::licensing;

/// Commands on products.
#[derive(Debug, Subcommand)]
pub enum ProductCommand {
    /// Make a product, or change one: what is not named stays as it is
    Set(ProductSetOptions),
    /// Print all products, one a line
    List {
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
    /// Print a product
    Show {
        /// Its name on the wire
        id: String,
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
}

/// What is to be known of a product.
#[derive(Debug, Args)]
pub struct ProductSetOptions {
    /// Its name on the wire, such as `telepower`
    pub id: String,
    /// Versions below it are told to update first
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub minimum_version: Option<String>,
    /// Let every version log in
    #[arg(long, conflicts_with = "minimum_version")]
    pub no_minimum_version: bool,
    /// Place elsewhere that clients are sent to for a newer version: https, or http to loopback
    #[arg(long, value_name = "URL", value_parser = update_url)]
    pub update_url: Option<String>,
    /// Send clients nowhere else: this server has the releases
    #[arg(long, conflicts_with = "update_url")]
    pub no_update_url: bool,
    /// Where the database is.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// Commands on plans.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Make a plan, or change one: what is not named stays as it is
    ///
    /// Licenses that are activated keep their expiry date; changed limits hold at once.
    Set(PlanSetOptions),
    /// Print all plans, one a line
    List {
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
    /// Print a plan with its limits
    Show {
        /// Its name on the wire
        id: String,
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
}

/// What is to be known of a plan.
#[derive(Debug, Args)]
pub struct PlanSetOptions {
    /// Its name on the wire, such as `telepower.licensePlan.release.monthly`
    pub id: String,
    /// Its period in calendar months from the activation; a new plan needs one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1200))]
    pub months: Option<i32>,
    /// A limit of it; may be repeated
    #[arg(long = "limit", value_name = "NAME=N", value_parser = limit)]
    pub limits: Vec<(String, i64)>,
    /// A limit that it is to have no more; may be repeated
    #[arg(long = "remove-limit", value_name = "NAME")]
    pub removed_limits: Vec<String>,
    /// Where the database is.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// An address that clients can be sent to: they add their query to it.
fn update_url(text: &str) -> Result<String, String> {
    let expected = || "an address such as https://cdn.example/telepower is expected".to_owned();
    let url = Url::parse(text).map_err(|_| expected())?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let safe = url.scheme() == "https" || url.scheme() == "http" && loopback;
    // The client's query would become a part of the fragment.
    if !safe || url.fragment().is_some() {
        return Err(expected());
    }
    Ok(url.into())
}

fn version(text: &str) -> Result<String, String> {
    match licensing::parse_version(text) {
        Some(_) => Ok(text.trim().to_owned()),
        None => Err("a version such as 7.0.3 or 7.0 is expected".to_owned()),
    }
}
