//! A site that serves updates as a test tells it to, right or wrong, on a real socket; and what a
//! client needs to fetch from it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use skyline::{ClientConfig, LicenseKey, Proxy, Result, Update, download_update};
use skyline_protocol::identity::IdentityKeyPair;
use skyline_protocol::update::{Disposition, Manifest, SignedManifest, this_platform};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::{PRODUCT, VERSION, device, soon};

/// The head of a request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// From 0 on.
    pub number: usize,
    pub path: String,
    pub headers: HashMap<String, String>,
}

impl Asked {
    /// Where the part that is asked for begins, of whichever file.
    pub fn range_start(&self) -> Option<usize> {
        let range = self.headers.get("range")?;
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// What the site does with a connection after its answer.
#[derive(Debug, Clone)]
pub enum Then {
    /// Ends it in order.
    Close,
    /// Says nothing more.
    Hang,
    /// Sends this again and again.
    Repeat(Vec<u8>),
}

/// An answer, byte for byte.
#[derive(Debug, Clone)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
    pub then: Then,
}

impl Answer {
    pub fn new(head: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            head: head.into(),
            body: body.into(),
            then: Then::Close,
        }
    }

    pub fn status(status: &str) -> Self {
        Self::new(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n"), [])
    }

    /// The same answer cut off within its body.
    pub fn cut(mut self, at: usize) -> Self {
        self.body.truncate(at);
        self
    }

    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// The same answer with a header in the place of the one of that name.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        let prefix = format!("{}:", name.to_lowercase());
        let kept = self.head.split_inclusive("\r\n");
        self.head = kept
            .filter(|line| !line.to_lowercase().starts_with(&prefix))
            .collect();
        self
    }
}

/// A file with what its vendor says about it.
#[derive(Debug, Clone)]
pub struct Release {
    pub manifest: Manifest,
    pub signed: SignedManifest,
    pub file: Vec<u8>,
    pub etag: String,
}

/// A file of that many bytes, none of which is like its neighbours.
pub fn file(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| (at ^ at >> 8 ^ at >> 16) as u8)
        .collect()
}

pub fn manifest_of(file: &[u8]) -> Manifest {
    Manifest {
        product: PRODUCT.to_owned(),
        version: "7.1.0".to_owned(),
        platform: this_platform(),
        file_name: "Телепауэр 7.1.0.bin".to_owned(),
        size: file.len() as u64,
        sha256: Sha256::digest(file).into(),
    }
}

impl Release {
    pub fn new(key: &IdentityKeyPair, file: Vec<u8>) -> Self {
        Self::of(key, manifest_of(&file), file)
    }

    pub fn of(key: &IdentityKeyPair, manifest: Manifest, file: Vec<u8>) -> Self {
        let signed = SignedManifest::sign(&manifest, key).unwrap();
        Self::signed(manifest, signed, file)
    }

    pub fn signed(manifest: Manifest, signed: SignedManifest, file: Vec<u8>) -> Self {
        let etag = format!("\"{}\"", hex::encode(Sha256::digest(&file)));
        Self {
            manifest,
            signed,
            file,
            etag,
        }
    }

    /// The right answer with the whole file.
    pub fn whole(&self) -> Answer {
        self.answer("200 OK", 0)
    }

    /// The right answer to any request.
    pub fn answer_to(&self, asked: &Asked) -> Answer {
        match asked.range_start() {
            Some(start) if asked.headers.get("if-range") == Some(&self.etag) => {
                let (last, size) = (self.file.len() - 1, self.file.len());
                let range = format!("bytes {start}-{last}/{size}");
                self.answer("206 Partial Content", start)
                    .with("Content-Range", &range)
            }
            _ => self.whole(),
        }
    }

    fn answer(&self, status: &str, start: usize) -> Answer {
        let body = &self.file[start..];
        Answer::new(format!("HTTP/1.1 {status}\r\n"), body)
            .with("Content-Length", &body.len().to_string())
            .with("Accept-Ranges", "bytes")
            .with("ETag", &self.etag)
            .with(
                "Content-Disposition",
                &Disposition::attachment(&self.manifest.file_name),
            )
            .with("Skyline-Manifest", &self.signed.manifest_header())
            .with("Skyline-Signature", &self.signed.signature_header())
    }
}

/// The site, with its identity key and a folder for a client's downloads.
pub struct Site {
    pub key: Arc<IdentityKeyPair>,
    pub folder: TempDir,
    address: String,
    log: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Site {
    /// A site that answers each request by `script`.
    pub async fn start(
        key: IdentityKeyPair,
        script: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (log, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script));
        let task = tokio::spawn({
            let log = log.clone();
            async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    let (log, script) = (log.clone(), script.clone());
                    tokio::spawn(async move {
                        // A client that goes away is no failure of the site.
                        let _ = serve(tcp, &log, &*script).await;
                    });
                }
            }
        });
        Self {
            key: Arc::new(key),
            folder: tempfile::tempdir().unwrap(),
            address,
            log,
            task,
        }
    }

    /// A site that serves one file, as `change` has changed the answers.
    pub async fn serving(
        file: Vec<u8>,
        change: impl Fn(&Asked, &Release) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let key = IdentityKeyPair::generate();
        let release = Release::new(&key, file);
        Self::start(key, move |asked| change(asked, &release)).await
    }

    pub fn config(&self) -> ClientConfig {
        let key = self.key.public();
        let mut config = ClientConfig::new(PRODUCT, VERSION, LicenseKey::generate(), [key]);
        config.url = format!("ws://{}/ws", self.address);
        config.device = Some(device("ADTFBB4112800098"));
        config.proxy = Proxy::Direct;
        config.reconnect.initial_delay = Duration::from_millis(1);
        config.reconnect.max_delay = Duration::from_millis(20);
        config
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The requests that came, in their order.
    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// Downloads into the site's folder.
    pub async fn download(&self) -> Result<Update> {
        self.download_as(self.config()).await
    }

    pub async fn download_as(&self, config: ClientConfig) -> Result<Update> {
        let download = download_update(config, self.folder.path())?;
        soon(download.finish()).await
    }

    /// The code of the download's refusal; there must be one, and no file.
    pub async fn refusal(&self) -> &'static str {
        self.refusal_as(self.config()).await
    }

    pub async fn refusal_as(&self, config: ClientConfig) -> &'static str {
        let error = self.download_as(config).await.unwrap_err();
        let shown = error.to_string();
        assert!(shown.len() > 40 && !shown.contains("\n"), "{shown}");
        assert_eq!(files(self.folder.path()), Vec::<String>::new(), "{shown}");
        error.code()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The names in a folder, but for those that a download keeps for itself.
pub fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| !name.starts_with(".skyline-update-"))
        .collect()
}

/// The bytes of the partial file, if there is one.
pub fn partial(folder: &Path) -> Option<Vec<u8>> {
    let mut entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let path = entries.find(|path| path.extension().is_some_and(|end| end == "partial"))?;
    Some(std::fs::read(path).unwrap())
}

async fn serve(
    mut tcp: TcpStream,
    log: &Mutex<Vec<Asked>>,
    script: &(impl Fn(&Asked) -> Answer + Sync),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let asked = {
        let mut log = log.lock().unwrap();
        let number = log.len();
        log.push(Asked {
            number,
            path,
            headers,
        });
        log[number].clone()
    };
    let answer = script(&asked);
    tcp.write_all(format!("{}\r\n", answer.head).as_bytes())
        .await?;
    tcp.write_all(&answer.body).await?;
    match answer.then {
        Then::Close => tcp.shutdown().await?,
        Then::Hang => {}
        Then::Repeat(bytes) => loop {
            tcp.write_all(&bytes).await?;
        },
    }
    // Unread bytes would reset the connection, and the client would lose what is on its way.
    let mut rest = [0; 1024];
    while tcp.read(&mut rest).await? > 0 {}
    Ok(())
}
