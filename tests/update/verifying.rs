//! Files that came in another way.

use skyline::verify_update;
use skyline_protocol::identity::IdentityKeyPair;

use crate::site::{Release, Site, file};
use crate::support::soon;

#[tokio::test]
async fn a_file_is_verified_by_its_manifest_alone() {
    let key = IdentityKeyPair::generate();
    let release = Release::new(&key, file(300_000));
    let (manifest, signature) = (release.signed.manifest(), release.signed.signature());
    let site = Site::start(key, |_| unreachable!("nobody is asked")).await;
    let path = site.folder.path().join("from a stick");
    std::fs::write(&path, &release.file).unwrap();
    let verify = |manifest: &[u8], signature: &[u8]| {
        let (manifest, signature) = (manifest.to_vec(), signature.to_vec());
        let (config, path) = (site.config(), path.clone());
        async move { soon(verify_update(config, path, &manifest, &signature)).await }
    };
    let code = |result: skyline::Result<_>| result.map(|_: skyline::Update| ()).unwrap_err().code();

    let update = verify(manifest, signature).await.unwrap();
    assert_eq!(update.path, path);
    assert_eq!((update.version.as_str(), update.size), ("7.1.0", 300_000));

    assert_eq!(
        code(verify(manifest, &[0; 64]).await),
        "UPDATE_SIGNATURE_WRONG"
    );
    assert_eq!(
        code(verify(manifest, &signature[1..]).await),
        "UPDATE_SIGNATURE_WRONG"
    );
    assert_eq!(
        code(verify(&manifest[1..], signature).await),
        "UPDATE_SIGNATURE_WRONG"
    );
    let mut old = site.config();
    old.product_version = "7.1.0".to_owned();
    let same = soon(verify_update(old, &path, manifest, signature)).await;
    assert_eq!(code(same), "UPDATE_NOT_NEWER");

    let mut changed = release.file.clone();
    changed[150_000] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    assert_eq!(code(verify(manifest, signature).await), "UPDATE_HASH");
    std::fs::write(&path, &changed[1..]).unwrap();
    assert_eq!(code(verify(manifest, signature).await), "UPDATE_SIZE");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code(verify(manifest, signature).await), "UPDATE_FOLDER");
}
