//! Products and plans.

use sqlx::{AnyPool, Row};

use super::{SqlStore, audit, rows};
use crate::{
    model::{Plan, Product, Stamp},
    store::{NewAuditEntry, PlanChange, ProductChange, StoreError},
};

pub(super) async fn set_product(
    store: &SqlStore,
    id: &str,
    change: &ProductChange,
    by: &Stamp,
) -> Result<Product, StoreError> {
    let mut transaction = store.begin().await?;
    let (new_minimum, minimum_version) = change.minimum_version.parts();
    let (new_url, update_url) = change.update_url.parts();
    let row = sqlx::query(
        "INSERT INTO products (id, minimum_version, update_url) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET
             minimum_version = CASE WHEN $4 = 1 THEN $2 ELSE products.minimum_version END,
             update_url = CASE WHEN $5 = 1 THEN $3 ELSE products.update_url END
         RETURNING id, minimum_version, update_url",
    )
    .bind(id)
    .bind(minimum_version)
    .bind(update_url)
    .bind(i64::from(new_minimum))
    .bind(i64::from(new_url))
    .fetch_one(&mut *transaction)
    .await?;
    let product = rows::product(&row)?;
    let detail = format!(
        "minimum version {}, update URL {}",
        product.minimum_version.as_deref().unwrap_or("none"),
        product.update_url.as_deref().unwrap_or("none"),
    );
    let entry = NewAuditEntry::new(by, "product-set", detail).of_product(id);
    audit(&mut transaction, &entry).await?;
    transaction.commit().await?;
    Ok(product)
}

pub(super) async fn product(pool: &AnyPool, id: &str) -> Result<Option<Product>, StoreError> {
    sqlx::query(rows::PRODUCT)
        .bind(id)
        .fetch_optional(pool)
        .await?
        .map(|row| rows::product(&row))
        .transpose()
}

pub(super) async fn products(store: &SqlStore) -> Result<Vec<Product>, StoreError> {
    let rows = sqlx::query("SELECT id, minimum_version, update_url FROM products ORDER BY id")
        .fetch_all(&store.readers)
        .await?;
    rows.iter().map(rows::product).collect()
}

pub(super) async fn set_plan(
    store: &SqlStore,
    id: &str,
    change: &PlanChange,
    by: &Stamp,
) -> Result<Plan, StoreError> {
    let mut transaction = store.begin().await?;
    let changed = sqlx::query("UPDATE plans SET months = COALESCE($2, months) WHERE id = $1")
        .bind(id)
        .bind(change.months)
        .execute(&mut *transaction)
        .await?;
    if changed.rows_affected() == 0 {
        let months = change.months.ok_or(StoreError::PlanWithoutMonths)?;
        sqlx::query("INSERT INTO plans (id, months) VALUES ($1, $2)")
            .bind(id)
            .bind(months)
            .execute(&mut *transaction)
            .await?;
    }
    for name in &change.removed_limits {
        sqlx::query("DELETE FROM plan_limits WHERE plan_id = $1 AND name = $2")
            .bind(id)
            .bind(&**name)
            .execute(&mut *transaction)
            .await?;
    }
    for (name, value) in &change.limits {
        sqlx::query(
            "INSERT INTO plan_limits (plan_id, name, value) VALUES ($1, $2, $3)
             ON CONFLICT (plan_id, name) DO UPDATE SET value = $3",
        )
        .bind(id)
        .bind(&**name)
        .bind(*value)
        .execute(&mut *transaction)
        .await?;
    }
    let rows = sqlx::query(PLANS)
        .bind(id)
        .fetch_all(&mut *transaction)
        .await?;
    let plan = gather(&rows)?.pop();
    let plan = plan.ok_or(StoreError::Corrupt("plan"))?;
    let limits: Vec<_> = plan
        .limits
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let detail = format!(
        "plan {id}: {} months, limits {}",
        plan.months,
        limits.join(" ")
    );
    let entry = NewAuditEntry::new(by, "plan-set", detail);
    audit(&mut transaction, &entry).await?;
    transaction.commit().await?;
    Ok(plan)
}

/// All plans, or the one of that name: a row per limit, at least one per plan.
const PLANS: &str = "SELECT plans.id AS plan_id, months, name, value
     FROM plans LEFT JOIN plan_limits ON plan_id = plans.id
     WHERE $1 IS NULL OR plans.id = $1 ORDER BY plans.id, name";

pub(super) async fn plans(store: &SqlStore, id: Option<&str>) -> Result<Vec<Plan>, StoreError> {
    let rows = sqlx::query(PLANS)
        .bind(id)
        .fetch_all(&store.readers)
        .await?;
    gather(&rows)
}

fn gather(rows: &[sqlx::any::AnyRow]) -> Result<Vec<Plan>, StoreError> {
    let mut plans: Vec<Plan> = Vec::new();
    for row in rows {
        let plan = rows::plan(row)?;
        if plans.last().is_none_or(|last| last.id != plan.id) {
            plans.push(plan);
        }
        let limit: Option<String> = row.try_get("name")?;
        if let (Some(plan), Some(name)) = (plans.last_mut(), limit) {
            plan.limits.insert(name, row.try_get("value")?);
        }
    }
    Ok(plans)
}
