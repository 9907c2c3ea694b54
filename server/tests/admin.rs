//! The admin commands as an administrator types them: their JSON, their texts, their errors.

mod common;

use common::{
    Login,
    process::{Installation, PLAN, fail, succeed},
};
use serde_json::{Value, json};
use skyline_protocol::LicenseKey;

async fn json(installation: &Installation, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let printed = succeed(installation.path(), &arguments).await;
    assert_eq!(printed.lines().count(), 1, "{printed}");
    serde_json::from_str(&printed).unwrap()
}

async fn json_lines(installation: &Installation, arguments: &[&str]) -> Vec<Value> {
    let printed = succeed(installation.path(), arguments).await;
    let lines = printed.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_license_lives_its_life_by_commands() {
    let installation = Installation::new().await;
    let issue = ["license", "issue", "--product", "telepower", "--plan", PLAN];
    let issued = json(&installation, &issue).await;
    let key: LicenseKey = issued["key"].as_str().unwrap().parse().unwrap();
    let hint = &key.expose()[24..];
    assert_eq!(issued["keyHint"], hint);
    assert_eq!(
        (&issued["id"], &issued["status"], &issued["expiryDate"]),
        (&json!(1), &json!("issued"), &Value::Null)
    );
    let early = fail(
        installation.path(),
        1,
        &["license", "extend", "1", "--months", "1"],
    )
    .await;
    assert!(early.contains("never activated"), "{early}");

    let running = installation.serve(&[]).await;
    let login = Login::new(&key);
    let mut peer = running.peer(&installation).await;
    peer.log_in(&login).await.expect_ok();
    peer.call("get-limits", None).await.expect_ok();

    let by_key = json(&installation, &["license", "show", key.expose()]).await;
    let by_id = json(&installation, &["license", "show", "1"]).await;
    assert_eq!(by_key, by_id);
    assert!(!by_id.to_string().contains(&key.expose()[..23]));
    assert_eq!(by_id["status"], "active");
    assert_eq!(by_id["device"]["serialNumber"], "ADTFBB4112800098");
    assert_eq!(by_id["limits"]["engine.limits.sendMessage.dailyLimit"], 150);
    let log = by_id["auditLog"].as_array().unwrap();
    assert_eq!(
        (&log[0]["action"], &log[1]["action"]),
        (&json!("issued"), &json!("activated"))
    );
    assert!(log[0]["who"].as_str().unwrap().starts_with("admin:"));
    assert_eq!(log[1]["who"], "client:127.0.0.1");

    let until = ["license", "extend", "1", "--until", "2099-12-31"];
    assert_eq!(
        json(&installation, &until).await["expiryDate"],
        "2099-12-31"
    );
    let months = ["license", "extend", "1", "--months", "2"];
    assert_eq!(
        json(&installation, &months).await["expiryDate"],
        "2100-02-28"
    );
    let suspended = json(&installation, &["license", "suspend", "1"]).await;
    assert_eq!(suspended["status"], "suspended");
    assert_eq!(
        json(&installation, &["license", "resume", "1"]).await["status"],
        "active"
    );

    let other = login.with(|request| request.device_serial_number = "other".to_owned());
    let refused = running.peer(&installation).await.log_in(&other).await;
    refused.expect("KEY_BOUND_TO_ANOTHER_DEVICE");
    assert_eq!(
        json(&installation, &["license", "rebind", "1"]).await["rebinding"],
        true
    );
    let taken = running.peer(&installation).await.log_in(&other).await;
    taken.expect_ok();
    let back = running
        .peer(&installation)
        .await
        .log_in(&login.at(2_000, 1_000))
        .await;
    back.expect("KEY_BOUND_TO_ANOTHER_DEVICE");

    let stranger = other.at(3_000, 2_999);
    let breach = running.peer(&installation).await.log_in(&stranger).await;
    breach.expect("INTEGRITY_BREACH");
    let reset = json(&installation, &["license", "reset-login", "1"]).await;
    assert_eq!(reset["historyMark"], "reset");
    running
        .peer(&installation)
        .await
        .log_in(&stranger)
        .await
        .expect_ok();
    let shown = json(&installation, &["license", "show", "1"]).await;
    assert_eq!(shown["historyMark"], Value::Null);
}

#[tokio::test]
async fn products_and_plans_are_set_listed_and_shown() {
    let installation = Installation::new().await;
    let set = ["product", "set", "telepower", "--minimum-version", "7.0"];
    let product = json!({"id": "telepower", "minimumVersion": "7.0", "updateUrl": null});
    assert_eq!(json(&installation, &set).await, product);
    assert_eq!(
        json(&installation, &["product", "show", "telepower"]).await,
        product
    );
    assert_eq!(
        json(&installation, &["product", "list"]).await,
        json!([product])
    );

    let url = "https://cdn.example/telepower?channel=release";
    let set = ["product", "set", "telepower", "--update-url", url];
    let elsewhere = json!({"id": "telepower", "minimumVersion": "7.0", "updateUrl": url});
    assert_eq!(json(&installation, &set).await, elsewhere);
    let clear = ["--no-update-url", "--no-minimum-version"];
    let set = [&["product", "set", "telepower"][..], &clear].concat();
    let cleared = json!({"id": "telepower", "minimumVersion": null, "updateUrl": null});
    assert_eq!(json(&installation, &set).await, cleared);
    for wrong in [
        "cdn.example/telepower",
        "http://cdn.example/",
        "https://a/#b",
        "file:///a",
    ] {
        let set = ["product", "set", "telepower", "--update-url", wrong];
        let errors = fail(installation.path(), 2, &set).await;
        assert!(errors.contains("an address such as https"), "{errors}");
    }

    let set = [
        "plan", "set", "p", "--months", "2", "--limit", "a=1", "--limit", "b=2",
    ];
    json(&installation, &set).await;
    let set = ["plan", "set", "p", "--remove-limit", "a", "--limit", "b=3"];
    let plan = json!({"id": "p", "months": 2, "limits": {"b": 3}});
    assert_eq!(json(&installation, &set).await, plan);
    assert_eq!(json(&installation, &["plan", "show", "p"]).await, plan);
    let plans = json(&installation, &["plan", "list"]).await;
    assert_eq!(plans.as_array().unwrap().len(), 4);
    let text = succeed(installation.path(), &["plan", "show", "p"]).await;
    assert_eq!(text, "plan: p\nmonths: 2\nlimit: b=3\n");

    for (arguments, expected) in [
        (&["product", "show", "x"][..], "no product `x`"),
        (
            &["plan", "show", "x"],
            "no plan `x`; the plans are: p, tele",
        ),
        (&["plan", "set", "x"], "name its period"),
    ] {
        let errors = fail(installation.path(), 1, arguments).await;
        assert!(errors.contains(expected), "{errors}");
    }
    fail(
        installation.path(),
        2,
        &["plan", "set", "x", "--months", "0"],
    )
    .await;
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what_and_can_be_filtered() {
    let installation = Installation::new().await;
    let key = installation.license().await;
    let running = installation.serve(&[]).await;
    let unknown = Login::new(&LicenseKey::generate());
    for _ in 0..5 {
        let refused = running.peer(&installation).await.log_in(&unknown).await;
        refused.expect("LICENSE_NOT_FOUND");
    }
    running
        .peer(&installation)
        .await
        .log_in(&Login::new(&key))
        .await
        .expect_ok();
    running.signal("TERM").await;
    assert_eq!(running.end().await.0, Some(0));

    let all = json_lines(&installation, &["audit", "--json"]).await;
    let actions: Vec<_> = all
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    let expected = [
        "product-set",
        "issued",
        "refused-not-found",
        "activated",
        "refused-not-found",
    ];
    assert_eq!(actions, expected);
    let refused = json_lines(
        &installation,
        &[
            "audit",
            "--json",
            "--action",
            "refused-not-found",
            "--since",
            "2020-01-01",
        ],
    )
    .await;
    let times: Vec<_> = refused
        .iter()
        .map(|entry| entry["times"].as_u64().unwrap())
        .collect();
    // The first at once, the others as a count when the server stopped; more of them if a minute
    // began between.
    assert_eq!(times.iter().sum::<u64>(), 5);
    assert_eq!(refused[0]["who"], "client:127.0.0.1");
    assert_eq!(refused[0]["product"], "telepower");
    let of_license = ["audit", "--json", "--license", key.expose()];
    assert_eq!(json_lines(&installation, &of_license).await.len(), 2);
    let none = succeed(installation.path(), &["audit", "--since", "2999-01-01"]).await;
    assert_eq!(none, "");
    let text = succeed(installation.path(), &["audit", "--action", "issued"]).await;
    assert!(text.contains("\tissued\t1\ttelepower\t1\t"), "{text}");
    let whole = serde_json::to_string(&all).unwrap();
    assert!(
        !whole.contains(&key.expose()[..23]),
        "a key is in the audit log"
    );
}

#[tokio::test]
async fn events_are_exported_with_all_that_was_sent() {
    let installation = Installation::new().await;
    let key = installation.license().await;
    let running = installation.serve(&[]).await;
    let mut peer = running.peer(&installation).await;
    peer.log_in(&Login::new(&key)).await.expect_ok();
    // {"event": "e", "data": {"a": bin 1}, "id": "1"}
    let payload = b"\x83\xa5event\xa1e\xa4data\x81\xa1a\xc4\x01\x01\xa2id\xa11";
    peer.call("send-event", Some(payload)).await.expect_ok();
    let events = json_lines(&installation, &["event", "export", "--license", "1"]).await;
    assert_eq!(events.len(), 1);
    let mut event = events[0].clone();
    assert!(event["receivedAt"].as_str().unwrap().ends_with('Z'));
    event.as_object_mut().unwrap().remove("receivedAt");
    assert_eq!(
        event,
        json!({
            "number": 1, "license": 1, "product": "telepower", "event": "e",
            "data": {"a": "AQ=="}, "messagePack": "gaFhxAEB", "id": "1",
            "sentAt": 1_765_529_203,
        })
    );
    let other = ["event", "export", "--product", "other"];
    assert!(json_lines(&installation, &other).await.is_empty());
}

#[tokio::test]
async fn licenses_move_by_export_and_import_without_their_keys() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let key = installation.license().await;
    let exported = succeed(folder, &["license", "export"]).await;
    assert!(!exported.contains(&key.expose()[..23]), "{exported}");
    std::fs::write(folder.join("licenses.jsonl"), &exported).unwrap();
    let elsewhere = [
        "--database",
        "other.db",
        "--license-key-secret",
        "skyline.db.key-secret",
    ];
    succeed(
        folder,
        &[&["product", "set", "telepower"][..], &elsewhere].concat(),
    )
    .await;
    let import = ["license", "import", "licenses.jsonl"];
    let told = succeed(folder, &[&import[..], &elsewhere].concat()).await;
    assert_eq!(told, "imported: 1\n");
    let shown = ["license", "show", key.expose()];
    succeed(folder, &[&shown[..], &elsewhere].concat()).await;

    // A second time, with another secret, or with a line that is not right: nothing is imported.
    let again = fail(folder, 1, &import).await;
    assert!(again.contains("exists already"), "{again}");
    let strange = ["--database", "strange.db"];
    succeed(
        folder,
        &[&["product", "set", "telepower"][..], &strange].concat(),
    )
    .await;
    let errors = fail(folder, 1, &[&import[..], &strange].concat()).await;
    assert!(errors.contains("line 1: ") && errors.contains("another license key secret"));
    let vendor = LicenseKey::generate();
    let line = |key: &str| {
        format!("{{\"key\":\"{key}\",\"product\":\"telepower\",\"plan\":\"{PLAN}\"}}\n")
    };
    let wrong = format!("{}{}", line(vendor.expose()), line("SECRET-KEY"));
    std::fs::write(folder.join("vendor.jsonl"), wrong).unwrap();
    let import = ["license", "import", "vendor.jsonl"];
    let errors = fail(folder, 1, &import).await;
    assert!(
        errors.contains("line 2: ") && !errors.contains("SECRET-KEY"),
        "{errors}"
    );
    std::fs::write(folder.join("vendor.jsonl"), line(vendor.expose())).unwrap();
    succeed(folder, &import).await;
    let shown = json(&installation, &["license", "show", vendor.expose()]).await;
    assert_eq!(shown["status"], "issued");
}

#[tokio::test]
async fn a_database_is_made_and_named_by_migrate() {
    let installation = Installation::new().await;
    let database = ["migrate", "--database", "sqlite:new.db"];
    assert_eq!(
        json(&installation, &database).await,
        json!({"database": "new.db"})
    );
    assert!(installation.path().join("new.db.key-secret").exists());
    // The secret is missing where the database is not new.
    std::fs::remove_file(installation.path().join("new.db.key-secret")).unwrap();
    let errors = fail(installation.path(), 1, &database).await;
    assert!(errors.contains("new.db.key-secret is missing"), "{errors}");
    let errors = fail(
        installation.path(),
        1,
        &["migrate", "--database", "mysql://u:p@h/d"],
    )
    .await;
    assert!(
        errors.contains("postgres://") && !errors.contains("u:p"),
        "{errors}"
    );
}
