//! Stories about credentials: a role taken on with GitHub's identity token or with what is there, for as long as a job
//! lasts.

use crate::world::aws::DEV;
use crate::world::aws::DEV_BUCKET;
use crate::world::aws::Fault;
use crate::world::aws::PROD;
use crate::world::aws::REGION;
use crate::world::aws::World;
use crate::world::aws::sts::Trust;
use branchline::adapters::aws::Class;
use branchline::adapters::aws::CredentialOptions;
use branchline::adapters::aws::Kind;
use branchline::adapters::aws::OidcEnvironment;
use branchline::adapters::aws::Patience;
use branchline::adapters::aws::Refused;
use branchline::adapters::aws::Session;
use branchline::adapters::aws::SessionOptions;
use branchline::adapters::aws::credentials_for;
use branchline::adapters::network::Network;
use branchline::adapters::system;
use branchline::model::cloud::AccountPlace;
use branchline::model::secret::Secret;
use branchline::ports::Clock;
use branchline::ports::PortErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

const ROLE: &str = "arn:aws:iam::222222222222:role/branchline-prod";
const SUBJECT: &str = "repo:acme/churn:environment:prod";

/// GitHub's token service, as far as a job sees it.
pub struct GitHub {
    address: String,
    said: Arc<Mutex<Says>>,
}

#[derive(Default)]
struct Says {
    /// How far tokens are good from now, in seconds.
    good_for: i64,
    /// Statuses that the next requests are answered with.
    statuses: Vec<u16>,
    /// Every request line and authorisation that came.
    asked: Vec<(String, String)>,
    /// Every token that was handed out.
    tokens: Vec<String>,
}

impl GitHub {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let said = Arc::new(Mutex::new(Says { good_for: 300, ..Says::default() }));
        let state = Arc::clone(&said);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => request.extend_from_slice(&buffer[..count]),
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let authorised = text.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
                let mut state = state.lock().expect("nobody panicked");
                let line = text.lines().next().unwrap_or_default().to_owned();
                state.asked.push((line, authorised.unwrap_or_default().to_owned()));
                let status = if state.statuses.is_empty() { 200 } else { state.statuses.remove(0) };
                let token = token(state.asked.len(), state.good_for);
                let body = if status == 200 {
                    state.tokens.push(token.clone());
                    serde_json::json!({ "count": 1, "value": token }).to_string()
                } else {
                    "no".to_owned()
                };
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, said }
    }

    /// What a job finds in its environment.
    pub fn environment(&self) -> OidcEnvironment {
        OidcEnvironment {
            url: format!("{}/token?api-version=2.0", self.address),
            token: Secret::new("request-token-of-the-job"),
        }
    }

    /// Every token that was handed out.
    pub fn tokens(&self) -> Vec<String> {
        self.with(|says| says.tokens.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Says) -> T) -> T {
        look(&mut self.said.lock().expect("nobody panicked"))
    }
}

fn token(number: usize, good_for: i64) -> String {
    let claims = serde_json::json!({
        "jti": number, "sub": SUBJECT, "aud": "sts.amazonaws.com", "exp": system::now().as_second() + good_for,
        "repository": "acme/churn", "repository_id": "42", "repository_owner": "acme", "repository_owner_id": "7",
    });
    let payload = aws_smithy_types::base64::encode(claims.to_string());
    let payload = payload.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
    format!("e30.{payload}.c2ln")
}

/// A clock that a test moves on.
#[derive(Default)]
struct Ahead(Mutex<Duration>);

impl Ahead {
    fn by(&self, more: Duration) {
        *self.0.lock().expect("nobody panicked") += more;
    }
}

#[async_trait::async_trait]
impl Clock for Ahead {
    fn now(&self) -> jiff::Timestamp {
        system::now() + *self.0.lock().expect("nobody panicked")
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

struct Scene {
    world: World,
    github: GitHub,
    clock: Arc<Ahead>,
}

impl Scene {
    fn new() -> Self {
        let world = World::start();
        let trust = Trust {
            accounts: vec![DEV.to_owned()],
            audience: "sts.amazonaws.com".to_owned(),
            subjects: vec!["repo:acme/churn:*".to_owned()],
            longest: 3600,
        };
        world.with(|state| state.trust.insert(ROLE.to_owned(), trust));
        Self { world, github: GitHub::start(), clock: Arc::default() }
    }

    /// A session of the prod account, as the product makes it.
    async fn prod(&self, role: &str) -> Session {
        self.prod_or_reading(role, None).await
    }

    /// As [`Scene::prod`], with a role for those who may only read.
    async fn prod_or_reading(&self, role: &str, reader: Option<&str>) -> Session {
        let place = AccountPlace {
            account_id: Some(PROD.to_owned()),
            region: REGION.to_owned(),
            bucket: DEV_BUCKET.to_owned(),
            prefix: "branchline".to_owned(),
            assume_role_arn: Some(role.to_owned()),
            read_role_arn: reader.map(str::to_owned),
            execution_role_arn: None,
            kms_key: None,
        };
        let pause = Duration::from_millis(1);
        let patience = Patience { tries: 4, first_pause: pause, longest_pause: pause, ..Patience::default() };
        let endpoint = Some(self.world.endpoint().to_owned());
        let options = CredentialOptions {
            endpoint: endpoint.clone(),
            session_name: "branchline-17-1".to_owned(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            patience,
            network: Network::default(),
        };
        let credentials = credentials_for(&place, Some(&self.github.environment()), &options).await;
        Session::new(place, &SessionOptions { endpoint, credentials, patience, ..SessionOptions::default() }).await
    }

    async fn write(&self, session: &Session) -> Result<(), Refused> {
        session
            .call(Kind::Repeatable, "s3:PutObject", || {
                session.s3.put_object().bucket(DEV_BUCKET).key("x").body(Vec::new().into()).send()
            })
            .await
            .map(|_| ())
    }

    fn granted(&self) -> usize {
        self.world.with(|state| state.assumed.iter().filter(|assumed| assumed.granted).count())
    }
}

#[tokio::test]
async fn a_wait_of_hours_outlives_a_session_of_one_hour() {
    let scene = Scene::new();
    scene.world.with(|state| state.buckets.get_mut(DEV_BUCKET).expect("a bucket").friends.push(PROD.to_owned()));
    let prod = scene.prod(ROLE).await;
    let identity = prod.identity().await.expect("it answers").clone();
    assert_eq!(identity.arn, "arn:aws:sts::222222222222:assumed-role/branchline-prod/branchline-17-1");
    scene.write(&prod).await.expect("it may write");
    assert_eq!(scene.granted(), 1, "one session serves all clients");
    let (line, authorised) = scene.github.with(|says| says.asked[0].clone());
    assert_eq!(line, "GET /token?api-version=2.0&audience=sts.amazonaws.com HTTP/1.1");
    assert!(authorised.ends_with("Bearer request-token-of-the-job"), "{authorised}");
    let tokens = scene.github.tokens();
    assert_eq!(tokens.len(), 1);
    scene.world.assert_clean();
}

/// The clients keep credentials by the real time; the source of them is asked here itself.
#[tokio::test]
async fn a_role_is_taken_on_anew_before_its_session_ends_each_time_with_a_new_token() {
    use aws_sdk_s3::config::ProvideCredentials as _;
    let scene = Scene::new();
    let place = AccountPlace {
        account_id: Some(PROD.to_owned()),
        region: REGION.to_owned(),
        bucket: DEV_BUCKET.to_owned(),
        prefix: String::new(),
        assume_role_arn: Some(ROLE.to_owned()),
        read_role_arn: None,
        execution_role_arn: None,
        kms_key: None,
    };
    let options = CredentialOptions {
        endpoint: Some(scene.world.endpoint().to_owned()),
        session_name: "branchline-17-1".to_owned(),
        clock: Arc::clone(&scene.clock) as Arc<dyn Clock>,
        patience: Patience { tries: 2, first_pause: Duration::from_millis(1), ..Patience::default() },
        network: Network::default(),
    };
    let source = credentials_for(&place, Some(&scene.github.environment()), &options).await.expect("it has a role");
    let first = source.provide_credentials().await.expect("the role can be taken on");
    scene.clock.by(Duration::from_secs(54 * 60));
    let same = source.provide_credentials().await.expect("the session lasts");
    assert_eq!(first.access_key_id(), same.access_key_id());
    // Five minutes before its end, GitHub stumbles: the old session is used on for a moment.
    scene.clock.by(Duration::from_secs(90));
    scene.github.with(|says| says.statuses = vec![503, 503]);
    let same = source.provide_credentials().await.expect("the session still lasts");
    assert_eq!(first.access_key_id(), same.access_key_id());
    let renewed = source.provide_credentials().await.expect("it can be renewed");
    assert_ne!(first.access_key_id(), renewed.access_key_id());
    for _ in 0..12 {
        scene.clock.by(Duration::from_secs(3600));
        scene.world.advance(Duration::from_secs(3600));
        scene.github.with(|says| says.good_for += 3600);
        source.provide_credentials().await.expect("twelve hours are no limit");
    }
    let tokens = scene.github.tokens();
    let mut distinct = tokens.clone();
    distinct.dedup();
    assert_eq!((tokens.len(), distinct.len()), (14, 14), "no token is used twice");
}

#[tokio::test]
async fn every_try_has_a_new_token() {
    let scene = Scene::new();
    scene.world.fail_next("AssumeRoleWithWebIdentity", Fault::Status500Html);
    scene.world.fail_next("AssumeRoleWithWebIdentity", Fault::Dropped);
    scene.github.with(|says| says.statuses = vec![502]);
    scene.prod(ROLE).await.identity().await.expect("the fourth try succeeds");
    assert_eq!(scene.github.with(|says| (says.asked.len(), says.tokens.len())), (4, 3));
    scene.world.assert_clean();
}

#[tokio::test]
async fn a_role_that_does_not_trust_the_job_is_named_with_the_subject_in_both_forms() {
    let scene = Scene::new();
    scene.world.with(|state| {
        let trust = state.trust.get_mut(ROLE).expect("it is there");
        trust.subjects = vec!["repo:acme/churn:ref:refs/heads/prod".to_owned()];
    });
    let refused = scene.prod(ROLE).await.identity().await.expect_err("it is refused").clone();
    assert_eq!((refused.class, refused.action.as_str()), (Class::Denied, "sts:AssumeRoleWithWebIdentity"));
    let said = refused.into_port("register the model");
    assert_eq!(said.kind, PortErrorKind::Permission);
    let text = format!("{} {}", said.chain(), said.hint.clone().unwrap_or_default());
    for part in [ROLE, SUBJECT, "repo:acme@7/churn@42:environment:prod", "trust policy", "AccessDenied"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let secrets = scene.github.tokens();
    assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{text}");
    assert!(!text.contains("request-token-of-the-job"), "{text}");
    // A refusal is final: it is not asked again and again.
    assert_eq!(secrets.len(), 1);
    assert_eq!(scene.granted(), 0);
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_refused_alike() {
    let scene = Scene::new();
    let role = "arn:aws:iam::222222222222:role/misspelled";
    let refused = scene.prod(role).await.identity().await.expect_err("it is refused").clone();
    assert!(refused.class == Class::Denied && refused.message.contains(role), "{refused}");
}

#[tokio::test]
async fn a_job_without_the_permission_is_told_so() {
    let scene = Scene::new();
    scene.github.with(|says| says.statuses = vec![403; 10]);
    let refused = scene.prod(ROLE).await.identity().await.expect_err("it is refused").clone();
    assert_eq!(refused.class, Class::Credentials, "{refused}");
    assert!(refused.to_string().contains("id-token: write"), "{refused}");
}

#[tokio::test]
async fn a_token_that_ran_out_on_the_way_is_replaced_and_a_wrong_clock_is_named() {
    let scene = Scene::new();
    scene.github.with(|says| says.good_for = -10);
    let refused = scene.prod(ROLE).await.identity().await.expect_err("it is refused").clone();
    assert_eq!(refused.class, Class::Expired, "{refused}");
    assert_eq!(scene.github.with(|says| says.tokens.len()), 4, "each try with a new one");
    assert!(refused.message.contains(ROLE), "{refused}");
    scene.github.with(|says| says.good_for = 300);
    let skewed = "Signature expired: 20261121T100000Z is now earlier than 20261121T110000Z (20261121T110500Z - 5 min.)";
    scene.world.fail_next("GetCallerIdentity", Fault::Refused(403, "SignatureDoesNotMatch", skewed));
    let refused = scene.prod(ROLE).await.identity().await.expect_err("it is refused").clone();
    let said = refused.into_port("look at the group");
    assert!(said.hint.as_deref().is_some_and(|hint| hint.contains("clock")), "{said:?}");
}

#[tokio::test]
async fn a_role_of_the_wrong_account_writes_nothing() {
    let scene = Scene::new();
    let role = "arn:aws:iam::111111111111:role/branchline-dev";
    let trust = scene.world.with(|state| state.trust[ROLE].clone());
    scene.world.with(|state| state.trust.insert(role.to_owned(), trust));
    let wrong = scene.prod(role).await;
    let refused = scene.write(&wrong).await.expect_err("it is the wrong account");
    assert!(refused.message.contains(DEV) && refused.message.contains(PROD), "{refused}");
    assert_eq!(scene.world.count("PutObject"), 0);
}

#[tokio::test]
async fn a_job_that_the_role_does_not_trust_is_given_the_one_that_reads_and_writes_nothing() {
    let scene = Scene::new();
    let reader = "arn:aws:iam::222222222222:role/readers";
    scene.world.with(|state| {
        let trust = state.trust.get_mut(ROLE).expect("it is there");
        trust.subjects = vec!["repo:acme/churn:ref:refs/heads/prod".to_owned()];
    });
    let refused =
        scene.prod_or_reading(ROLE, Some(reader)).await.identity().await.expect_err("neither trusts it").clone();
    assert!(
        refused.class == Class::Denied && refused.message.contains(ROLE) && refused.message.contains(reader),
        "{refused}"
    );

    scene.world.trust_identity(reader, "sts.amazonaws.com", "repo:acme/churn:*");
    let prod = scene.prod_or_reading(ROLE, Some(reader)).await;
    let arn = prod.identity().await.expect("it may read").arn.clone();
    assert_eq!(arn, "arn:aws:sts::222222222222:assumed-role/readers/branchline-17-1");
    let refused = scene.write(&prod).await.expect_err("it may not write");
    assert_eq!((refused.code.as_deref(), scene.world.count("PutObject")), (Some("ReadingRole"), 0));
    let said = refused.into_port("register the model");
    assert_eq!(said.kind, PortErrorKind::ReadOnly);

    // Only a refusal makes a reader of somebody: whoever may write and is answered late stays who they are.
    scene.world.trust_identity(ROLE, "sts.amazonaws.com", "repo:acme/churn:*");
    scene.world.fail_next("AssumeRoleWithWebIdentity", Fault::Status500Html);
    let prod = scene.prod_or_reading(ROLE, Some(reader)).await;
    assert!(prod.identity().await.expect("it may write").arn.contains("assumed-role/branchline-prod/"));
    scene.world.assert_clean();
}
