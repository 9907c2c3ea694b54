//! `product` and `plan`.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use super::{open, open_existing, output, stamp};
use crate::{
    cli::{CliError, PlanCommand, ProductCommand},
    model::{Plan, Product},
    store::{PlanChange, ProductChange, Setting, SqlStore, Store},
};

/// A product in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProductJson<'a> {
    id: &'a str,
    minimum_version: Option<&'a str>,
    update_url: Option<&'a str>,
}

/// A plan in JSON.
#[derive(Serialize)]
struct PlanJson<'a> {
    id: &'a str,
    months: i32,
    limits: &'a BTreeMap<String, i64>,
}

/// What two options say that exclude each other: to set a value, and to clear it.
fn setting(value: Option<String>, clear: bool) -> Setting {
    match value {
        Some(value) => Setting::Set(value),
        None if clear => Setting::Clear,
        None => Setting::Keep,
    }
}

pub(crate) async fn product(command: ProductCommand) -> Result<(), CliError> {
    let (product, admin) = match command {
        ProductCommand::Set(options) => {
            let store = open(&options.admin.database, true).await?;
            let change = ProductChange {
                minimum_version: setting(options.minimum_version, options.no_minimum_version),
                update_url: setting(options.update_url, options.no_update_url),
            };
            let product = store.set_product(&options.id, &change, &stamp()).await?;
            store.close().await;
            (product, options.admin)
        }
        ProductCommand::Show { id, admin } => {
            let store = open_existing(&admin).await?;
            let product = store.product(&id).await?;
            store.close().await;
            (product.ok_or(CliError::UnknownProduct(id))?, admin)
        }
        ProductCommand::List { admin } => {
            let store = open_existing(&admin).await?;
            let products = store.products().await?;
            store.close().await;
            let json: Vec<_> = products.iter().map(product_json).collect();
            return output(&admin, &json, || {
                let mut text = String::from("PRODUCT\tMINIMUM VERSION\tUPDATE URL\n");
                for product in &products {
                    let minimum = product.minimum_version.as_deref().unwrap_or("-");
                    let url = product.update_url.as_deref().unwrap_or("-");
                    // Writing into memory cannot fail.
                    let _ = writeln!(text, "{}\t{minimum}\t{url}", product.id);
                }
                text
            });
        }
    };
    output(&admin, &product_json(&product), || {
        format!(
            "product: {}\nminimum version: {}\nupdate URL: {}\n",
            product.id,
            product.minimum_version.as_deref().unwrap_or("-"),
            product.update_url.as_deref().unwrap_or("-"),
        )
    })
}

fn product_json(product: &Product) -> ProductJson<'_> {
    ProductJson {
        id: &product.id,
        minimum_version: product.minimum_version.as_deref(),
        update_url: product.update_url.as_deref(),
    }
}

pub(crate) async fn plan(command: PlanCommand) -> Result<(), CliError> {
    let (plan, admin) = match command {
        PlanCommand::Set(options) => {
            let store = open(&options.admin.database, true).await?;
            let change = PlanChange {
                months: options.months,
                limits: options.limits.into_iter().collect(),
                removed_limits: options.removed_limits,
            };
            let plan = store.set_plan(&options.id, &change, &stamp()).await?;
            store.close().await;
            (plan, options.admin)
        }
        PlanCommand::Show { id, admin } => {
            let store = open_existing(&admin).await?;
            let plan = store.plan(&id).await?;
            let plan = match plan {
                Some(plan) => plan,
                None => return Err(unknown_plan(&store, id).await?),
            };
            store.close().await;
            (plan, admin)
        }
        PlanCommand::List { admin } => {
            let store = open_existing(&admin).await?;
            let plans = store.plans().await?;
            store.close().await;
            let json: Vec<_> = plans.iter().map(plan_json).collect();
            return output(&admin, &json, || {
                let mut text = String::from("PLAN\tMONTHS\tLIMITS\n");
                for plan in &plans {
                    let limits: Vec<_> = plan
                        .limits
                        .iter()
                        .map(|(name, value)| format!("{name}={value}"))
                        .collect();
                    let _ = writeln!(text, "{}\t{}\t{}", plan.id, plan.months, limits.join(" "));
                }
                text
            });
        }
    };
    output(&admin, &plan_json(&plan), || {
        let mut text = format!("plan: {}\nmonths: {}\n", plan.id, plan.months);
        for (name, value) in &plan.limits {
            let _ = writeln!(text, "limit: {name}={value}");
        }
        text
    })
}

fn plan_json(plan: &Plan) -> PlanJson<'_> {
    PlanJson {
        id: &plan.id,
        months: plan.months,
        limits: &plan.limits,
    }
}

/// The error that names the plans that there are.
pub(super) async fn unknown_plan(store: &SqlStore, id: String) -> Result<CliError, CliError> {
    let known: Vec<_> = store
        .plans()
        .await?
        .into_iter()
        .map(|plan| plan.id)
        .collect();
    Ok(CliError::UnknownPlan(id, known.join(", ")))
}
