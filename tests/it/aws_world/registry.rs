//! The model registry.

use super::session;
use crate::world::aws::DEV;
use crate::world::aws::PROD;
use crate::world::aws::World;
use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use aws_sdk_sagemaker::operation::create_model_package::builders::CreateModelPackageFluentBuilder;
use aws_sdk_sagemaker::types::InferenceSpecification;
use aws_sdk_sagemaker::types::ModelApprovalStatus;
use aws_sdk_sagemaker::types::ModelPackageContainerDefinition;
use aws_sdk_sagemaker::types::ModelPackageSortBy;
use aws_sdk_sagemaker::types::ModelPackageStatus;
use aws_sdk_sagemaker::types::SortOrder;

/// A version with one container.
pub fn version(client: &Client, group: &str, token: &str) -> CreateModelPackageFluentBuilder {
    let image = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/serve:1";
    let container = ModelPackageContainerDefinition::builder().image(image).build();
    client
        .create_model_package()
        .model_package_group_name(group)
        .client_token(token)
        .model_approval_status(ModelApprovalStatus::PendingManualApproval)
        .inference_specification(InferenceSpecification::builder().containers(container).build())
        .customer_metadata_properties("branchline.operation", token)
}

#[tokio::test]
async fn a_group_is_made_once_and_has_versions_in_lower_case() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    let group = || client.create_model_package_group().model_package_group_name("Churn-Dev");
    let none = client.describe_model_package_group().model_package_group_name("Churn-Dev").send().await;
    let none = none.expect_err("nothing");
    assert!(none.message().is_some_and(|text| text.ends_with("does not exist.")), "{:?}", none.message());
    group().send().await.expect("a group");
    let twice = group().send().await.expect_err("it is there");
    assert!(twice.message().is_some_and(|text| text.starts_with("Cannot create already existing")));
    let one = version(&client, "Churn-Dev", "t-1").send().await.expect("a version");
    let arn = one.model_package_arn().expect("an ARN").to_owned();
    assert_eq!(arn, "arn:aws:sagemaker:eu-central-1:111111111111:model-package/churn-dev/1");
    let again = version(&client, "Churn-Dev", "t-1").send().await.expect("the same");
    assert_eq!(again.model_package_arn(), Some(arn.as_str()));
    world.with(|state| state.forgets_tokens = true);
    let third = version(&client, "Churn-Dev", "t-1").send().await.expect("another");
    let third = third.model_package_arn().expect("an ARN").to_owned();
    assert!(third.ends_with("/2"));
    let full = client.delete_model_package_group().model_package_group_name("Churn-Dev").send().await;
    assert_eq!(full.expect_err("versions").code(), Some("ConflictException"));
    client.delete_model_package().model_package_name(&third).send().await.expect("gone");
    let next = version(&client, "Churn-Dev", "t-9").send().await.expect("a version");
    assert!(next.model_package_arn().is_some_and(|arn| arn.ends_with("/3")), "a number is never given again");
}

#[tokio::test]
async fn approval_and_metadata_change_and_lists_show_it() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    client.create_model_package_group().model_package_group_name("g").send().await.expect("a group");
    world.with(|state| state.package_polls = 2);
    let mut arns = Vec::new();
    for at in 0..5 {
        let made = version(&client, "g", &format!("t-{at}")).send().await.expect("a version");
        arns.push(made.model_package_arn().expect("an ARN").to_owned());
    }
    let look = || client.describe_model_package().model_package_name(&arns[0]);
    let first = look().send().await.expect("it");
    assert_eq!(first.model_package_status(), Some(&ModelPackageStatus::InProgress));
    let second = look().send().await.expect("it");
    assert_eq!(second.model_package_status(), Some(&ModelPackageStatus::Completed));
    assert_eq!((second.model_package_version(), second.model_package_group_name()), (Some(1), Some("g")));
    let change = client.update_model_package().model_package_arn(&arns[0]);
    let change = change.model_approval_status(ModelApprovalStatus::Approved).customer_metadata_properties("a", "1");
    change.customer_metadata_properties_to_remove("branchline.operation").send().await.expect("changed");
    let metadata = look().send().await.expect("it").customer_metadata_properties().cloned().expect("some");
    assert_eq!(metadata.into_iter().collect::<Vec<_>>(), [("a".to_owned(), "1".to_owned())]);
    let list = || client.list_model_packages().model_package_group_name("g").sort_by(ModelPackageSortBy::CreationTime);
    let newest = list().sort_order(SortOrder::Descending).max_results(2).send().await.expect("a list");
    let shown: Vec<_> = newest.model_package_summary_list().iter().map(|one| one.model_package_version()).collect();
    assert_eq!(shown, [Some(5), Some(4)]);
    assert!(newest.model_package_summary_list().iter().all(|one| one.model_package_name().is_none()));
    let rest = list().sort_order(SortOrder::Descending).max_results(100);
    let rest = rest.next_token(newest.next_token().expect("more")).send().await.expect("a list");
    assert_eq!((rest.model_package_summary_list().len(), rest.next_token()), (3, None));
    let approved = || list().model_approval_status(ModelApprovalStatus::Approved);
    assert_eq!(approved().send().await.expect("a list").model_package_summary_list().len(), 1);
    world.lag("ListModelPackages", 1);
    assert_eq!(approved().send().await.expect("a list").model_package_summary_list().len(), 0);
    world.lag("ListModelPackages", 0);
    world.set_approval(DEV, &arns[3], "Approved");
    assert_eq!(approved().send().await.expect("a list").model_package_summary_list().len(), 2);
    assert_eq!(world.versions(DEV, "g").len(), 5);
    let batch = client.batch_describe_model_package().model_package_arn_list(&arns[1]);
    let missing = "arn:aws:sagemaker:eu-central-1:111111111111:model-package/g/99";
    let batch = batch.model_package_arn_list(missing).send().await.expect("both");
    assert!(batch.model_package_summaries().is_some_and(|all| all.len() == 1 && all.contains_key(&arns[1])));
    assert!(batch.batch_describe_model_package_error_map().is_some_and(|all| all.contains_key(missing)));
    assert_eq!(world.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn another_account_registers_when_the_policy_says_so() {
    let world = World::start();
    let (dev, prod) = (session(&world, DEV).await.sagemaker, session(&world, PROD).await.sagemaker);
    let made = prod.create_model_package_group().model_package_group_name("g").send().await.expect("a group");
    let arn = made.model_package_group_arn().expect("an ARN");
    let denied = version(&dev, arn, "t-1").send().await.expect_err("a stranger");
    assert_eq!(denied.code(), Some("AccessDeniedException"));
    let policy = format!(r#"{{"Principal":{{"AWS":"arn:aws:iam::{DEV}:root"}}}}"#);
    let put = prod.put_model_package_group_policy().model_package_group_name("g").resource_policy(policy);
    put.send().await.expect("a policy");
    let package = version(&dev, arn, "t-1").send().await.expect("a version");
    assert!(package.model_package_arn().is_some_and(|arn| arn.contains(PROD)));
}

#[tokio::test]
async fn a_metadata_value_with_a_brace_is_refused() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    client.create_model_package_group().model_package_group_name("g").send().await.expect("a group");
    for (key, value) in [("k", "{}".to_owned()), ("k", "x".repeat(257)), ("k", String::new())] {
        let bad = version(&client, "g", "t").customer_metadata_properties(key, &value).send().await;
        assert_eq!(bad.map(|_| ()).expect_err(&value).code(), Some("ValidationException"), "{value}");
    }
    let long = version(&client, "g", &"t".repeat(37)).send().await.expect_err("a token of 37");
    assert_eq!(long.code(), Some("ValidationException"));
    assert_eq!(world.violations().len(), 4);
    let uncompiled = crate::world::aws::contract::contract().uncompiled();
    assert!(uncompiled.len() < 8, "{uncompiled:?}");
}

#[tokio::test]
async fn versions_fail_and_are_searched_for() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    client.create_model_package_group().model_package_group_name("g").send().await.expect("a group");
    let missing = client.get_model_package_group_policy().model_package_group_name("g").send().await;
    assert_eq!(missing.expect_err("no policy").code(), Some("ValidationException"));
    world.next_version_fails("no such image");
    let made = version(&client, "g", "t-1").send().await.expect("a version");
    let arn = made.model_package_arn().expect("an ARN");
    let said = client.describe_model_package().model_package_name(arn).send().await.expect("it");
    assert_eq!(said.model_package_status(), Some(&ModelPackageStatus::Failed));
    let why = said.model_package_status_details().expect("details").validation_statuses()[0].failure_reason();
    assert_eq!(why, Some("no such image"));
    let search = || {
        let name = "CustomerMetadataProperties.branchline.operation";
        let filter = aws_sdk_sagemaker::types::Filter::builder().name(name).value("t-1").build();
        let expression = aws_sdk_sagemaker::types::SearchExpression::builder().filters(filter).build();
        client
            .search()
            .resource(aws_sdk_sagemaker::types::ResourceType::ModelPackage)
            .search_expression(expression)
            .send()
    };
    let found = search().await.expect("results");
    let found = found.results()[0].model_package().and_then(|package| package.model_package_arn());
    assert_eq!(found, Some(arn));
    world.with(|state| state.search_off = true);
    assert_eq!(search().await.expect_err("off").code(), Some("AccessDeniedException"));
    let listed = client.list_model_package_groups().name_contains("g").send().await.expect("a list");
    assert_eq!(listed.model_package_group_summary_list().len(), 1);
    world.assert_clean();
}

#[tokio::test]
async fn a_version_needs_its_archive() {
    let world = World::start();
    let client = session(&world, DEV).await.sagemaker;
    client.create_model_package_group().model_package_group_name("g").send().await.expect("a group");
    let register = || {
        let container = ModelPackageContainerDefinition::builder()
            .image("111111111111.dkr.ecr.eu-central-1.amazonaws.com/serve:1")
            .model_data_url("s3://acme-ml-dev/m/model.tar.gz")
            .build();
        let spec = InferenceSpecification::builder().containers(container).build();
        version(&client, "g", "t").inference_specification(spec).send()
    };
    let none = register().await.expect_err("no archive");
    assert!(none.message().is_some_and(|text| text.starts_with("Could not access model data")));
    world.put("acme-ml-dev", "m/model.tar.gz", "1");
    let made = register().await.expect("a version");
    let said = client.describe_model_package().model_package_name(made.model_package_arn().expect("an ARN"));
    let said = said.send().await.expect("it");
    let container = &said.inference_specification().expect("one").containers()[0];
    assert_eq!(container.model_data_e_tag(), Some("c4ca4238a0b923820dcc509a6f75849b"));
}
