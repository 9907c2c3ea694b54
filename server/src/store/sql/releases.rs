//! Releases.

use jiff::Timestamp;
use skyline_protocol::update::{Manifest, SignedManifest};
use sqlx::{Row, any::AnyRow};

use super::{SqlStore, audit};
use crate::{
    model::{Release, Stamp},
    store::{NewAuditEntry, ReleaseFilter, StoreError},
};

pub(super) async fn publish(
    store: &SqlStore,
    release: &Release,
    by: &Stamp,
) -> Result<(), StoreError> {
    let manifest = &release.manifest;
    let mut transaction = store.begin().await?;
    let inserted = sqlx::query(
        "INSERT INTO releases
             (product_id, platform, version, sha256, manifest, signature, published_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(&*manifest.product)
    .bind(&*manifest.platform)
    .bind(&*manifest.version)
    .bind(hex::encode(manifest.sha256))
    .bind(release.signed.manifest())
    .bind(release.signed.signature())
    .bind(release.published_at.as_second())
    .execute(&mut *transaction)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::ReleaseExists);
    }
    let entry = NewAuditEntry::new(by, "release-published", describe(manifest));
    audit(&mut transaction, &entry.of_product(&manifest.product)).await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn all(
    store: &SqlStore,
    filter: &ReleaseFilter,
) -> Result<Vec<Release>, StoreError> {
    let rows = sqlx::query(
        "SELECT manifest, signature, published_at FROM releases
         WHERE ($1 IS NULL OR product_id = $1) AND ($2 IS NULL OR platform = $2)
         ORDER BY product_id, platform, published_at, version",
    )
    .bind(filter.product.as_deref())
    .bind(filter.platform.as_deref())
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(release).collect()
}

pub(super) async fn withdraw(
    store: &SqlStore,
    manifest: &Manifest,
    by: &Stamp,
) -> Result<bool, StoreError> {
    let mut transaction = store.begin().await?;
    let removed = sqlx::query(
        "DELETE FROM releases WHERE product_id = $1 AND platform = $2 AND version = $3",
    )
    .bind(&*manifest.product)
    .bind(&*manifest.platform)
    .bind(&*manifest.version)
    .execute(&mut *transaction)
    .await?;
    if removed.rows_affected() == 0 {
        return Err(StoreError::NoRelease);
    }
    let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM releases WHERE sha256 = $1")
        .bind(hex::encode(manifest.sha256))
        .fetch_one(&mut *transaction)
        .await?;
    let entry = NewAuditEntry::new(by, "release-withdrawn", describe(manifest));
    audit(&mut transaction, &entry.of_product(&manifest.product)).await?;
    transaction.commit().await?;
    Ok(users == 0)
}

fn describe(manifest: &Manifest) -> String {
    format!(
        "{} for {}: {}, {} bytes, SHA-256 {}",
        manifest.version,
        manifest.platform,
        manifest.file_name,
        manifest.size,
        hex::encode(manifest.sha256)
    )
}

fn release(row: &AnyRow) -> Result<Release, StoreError> {
    let invalid = StoreError::Corrupt("release");
    let signed = SignedManifest::from_bytes(row.try_get("manifest")?, row.try_get("signature")?);
    let Ok(manifest) = Manifest::decode(signed.manifest()) else {
        return Err(invalid);
    };
    Ok(Release {
        manifest,
        signed,
        published_at: Timestamp::from_second(row.try_get("published_at")?).map_err(|_| invalid)?,
    })
}
