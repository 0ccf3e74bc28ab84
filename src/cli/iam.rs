//! `iam`: the permissions that this configuration needs, and no more, to apply with other tools.

use crate::adapters::aws::policy::PolicyError;
use crate::adapters::aws::policy::Trust;
use crate::adapters::aws::policy::permissions;
use crate::cli::args::IamArgs;
use crate::cli::args::IamFormat;
use crate::cli::check::on_disk;
use crate::cli::compose::Place;
use crate::cli::failure::Failure;
use crate::cli::notice;
use crate::cli::print;
use crate::cli::print_json;
use crate::model::iam::AccountPermissions;
use crate::model::iam::Permissions;
use crate::report;
use crate::report::terminal::plain;
use std::path::Path;

/// The host of the identity tokens of github.com.
const GITHUB: &str = "token.actions.githubusercontent.com";

/// Prints the permissions. Nothing is sent anywhere.
pub fn iam(directory: Option<&Path>, args: &IamArgs) -> Result<u8, Failure> {
    let place = Place::find(directory, false)?;
    let source = on_disk(&place)?;
    let config = crate::config::load(&source, &source).map_err(|problems| Failure::problems(&problems))?;
    let Permissions { mut accounts, separated } =
        permissions(&config, &trust(&place, args)?).map_err(|error| refusal(&error))?;
    if let Some(wanted) = &args.account {
        let known: Vec<String> = accounts.iter().map(|account| account.account.clone()).collect();
        accounts.retain(|account| &account.account == wanted);
        if accounts.is_empty() {
            let failure = Failure::usage(format!("the configuration uses no account {}", plain(wanted)));
            return Err(failure.hint(format!("it uses {}", known.join(", "))));
        }
    }
    if let Some(wanted) = &args.role {
        narrow(&mut accounts, wanted)?;
    }
    if !separated.is_empty() {
        notice(&plain_lines(&report::iam::separated(&separated)));
    }
    match (args.format, accounts.as_slice()) {
        (IamFormat::Json, all) => print_json(&report::iam::as_json(all, &separated)),
        (IamFormat::Terraform, [only]) => print(&report::iam::terraform(only)),
        (IamFormat::Cloudformation, [only]) => {
            let template = report::iam::template(only);
            if template.len() > report::iam::LONGEST_TEMPLATE {
                notice(&format!(
                    "The template has {} bytes. `aws cloudformation deploy` takes {} without a bucket: add `--s3-bucket`.",
                    template.len(),
                    report::iam::LONGEST_TEMPLATE
                ));
            }
            print(&template)
        }
        (IamFormat::Terraform | IamFormat::Cloudformation, all) => {
            let ids: Vec<&str> = all.iter().map(|account| account.account.as_str()).collect();
            Err(Failure::usage("each account is set up by itself, and the configuration uses several")
                .hint(format!("name one with --account: {}", ids.join(", "))))
        }
    }
}

fn trust(place: &Place, args: &IamArgs) -> Result<Trust, Failure> {
    let remote = place.git.identity().remote;
    let host = remote.as_deref().and_then(|remote| remote.split('/').next()).unwrap_or("github.com");
    let issuer = match host {
        "github.com" => GITHUB.to_owned(),
        server if args.repository.is_none() => format!("{server}/_services/token"),
        _ => GITHUB.to_owned(),
    };
    if let Some(prefix) = &args.subject_prefix {
        return Ok(Trust { subject_prefix: prefix.trim_end_matches(':').to_owned(), issuer });
    }
    let own = remote.as_deref().and_then(|remote| remote.split_once('/')).map(|(_, path)| path.to_owned());
    match args.repository.clone().or(own) {
        Some(name) if name.split('/').count() == 2 && name.split('/').all(|part| !part.is_empty()) => {
            Ok(Trust { subject_prefix: format!("repo:{name}"), issuer })
        }
        Some(name) => Err(Failure::usage(format!("{} is not the name of a repository", plain(&name)))
            .hint("write it as --repository OWNER/NAME")),
        None => Err(Failure::usage("which repository may assume the roles is not known: there is no `origin`")
            .hint("name it: branchline iam --repository OWNER/NAME")),
    }
}

/// Text for a terminal, line by line.
fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

fn narrow(accounts: &mut Vec<AccountPermissions>, wanted: &str) -> Result<(), Failure> {
    let known: Vec<String> = accounts.iter().flat_map(|account| &account.roles).map(|role| role.name.clone()).collect();
    for account in accounts.iter_mut() {
        account.roles.retain(|role| {
            role.name == wanted
                || (wanted == "pull-request" && role.purpose.starts_with("pull requests"))
                || role.purpose.strip_prefix("stage ") == Some(wanted)
        });
        account.buckets.clear();
        account.keys.clear();
    }
    accounts.retain(|account| !account.roles.is_empty());
    if accounts.is_empty() {
        let failure = Failure::usage(format!("there is no role {}", plain(wanted)));
        return Err(failure.hint(format!("name a role, a stage or `pull-request`; the roles are {}", known.join(", "))));
    }
    Ok(())
}

fn refusal(error: &PolicyError) -> Failure {
    let failure = Failure::configuration(error.to_string());
    match error {
        PolicyError::Local => failure.hint("write `backend: { sagemaker: {…} }` into branchline.yaml"),
        PolicyError::Account(_) => {
            failure.hint("write `account_id` under `backend.sagemaker`, and `id` under the stage's account")
        }
        PolicyError::Conflict(conflict) => failure.hint(conflict.hint()),
        PolicyError::TooLarge { .. } => failure
            .hint(
                "let what that list names begin alike, so that fewer entries do: data below one prefix of one bucket, and \
                 groups without `group_names`",
            )
            .hint("or split the models over two projects"),
        PolicyError::SameName { .. } => {
            failure.hint("give the stages roles of different names: `assume_role_arn` and `execution_role_arn`")
        }
    }
}
