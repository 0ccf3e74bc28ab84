# Wakes Branchline when SageMaker has news: the same as wake.cloudformation.yaml, for Terraform (AWS provider 5 or newer).
#
# The token is a fine-grained personal access token (or an App's) of this one repository with "Actions: read and write" and
# nothing else: starting a workflow needs no right to push code. Keep it in Secrets Manager as {"token": "…"}.

variable "repository" {
  type        = string
  description = "owner/name"
}

variable "project" {
  type        = string
  description = "`project` of branchline.yaml: names of jobs and groups begin with it"
}

variable "branch" {
  type        = string
  description = "The repository's default branch"
  default     = "main"
}

variable "workflow" {
  type        = string
  description = "The workflow's file name"
  default     = "branchline-reconcile.yml"
}

variable "api_address" {
  type        = string
  description = "Another one for Enterprise Server"
  default     = "https://api.github.com"
}

variable "token_secret" {
  type        = string
  description = "Name of the secret that holds the token"
  default     = "branchline/github"
}

data "aws_caller_identity" "this" {}

data "aws_secretsmanager_secret_version" "github" {
  secret_id = var.token_secret
}

resource "aws_cloudwatch_event_connection" "github" {
  name               = "branchline-${var.project}"
  authorization_type = "API_KEY"
  auth_parameters {
    api_key {
      key   = "Authorization"
      value = "Bearer ${jsondecode(data.aws_secretsmanager_secret_version.github.secret_string)["token"]}"
    }
    invocation_http_parameters {
      header {
        key   = "Accept"
        value = "application/vnd.github+json"
      }
      header {
        key   = "X-GitHub-Api-Version"
        value = "2022-11-28"
      }
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "reconcile" {
  name                             = "branchline-${var.project}"
  connection_arn                   = aws_cloudwatch_event_connection.github.arn
  http_method                      = "POST"
  invocation_endpoint              = "${var.api_address}/repos/${var.repository}/actions/workflows/${var.workflow}/dispatches"
  invocation_rate_limit_per_second = 1
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "branchline-${var.project}-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}

resource "aws_iam_role" "waker" {
  name = "branchline-${var.project}-waker"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "waker" {
  name = "start-the-workflow"
  role = aws_iam_role.waker.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "events:InvokeApiDestination"
      Resource = aws_cloudwatch_event_api_destination.reconcile.arn
    }]
  })
}

locals {
  rules = {
    training-ended = {
      "detail-type" = ["SageMaker Training Job State Change"]
      detail = {
        TrainingJobName   = [{ prefix = "${var.project}-" }]
        TrainingJobStatus = ["Completed", "Failed", "Stopped"]
      }
    }
    approval-changed = {
      "detail-type" = ["SageMaker Model Package State Change"]
      detail = {
        ModelPackageGroupName = [{ prefix = "${var.project}-" }]
        ModelApprovalStatus   = ["Approved", "Rejected"]
      }
    }
  }
}

resource "aws_cloudwatch_event_rule" "news" {
  for_each      = local.rules
  name          = "branchline-${var.project}-${each.key}"
  event_pattern = jsonencode(merge({ source = ["aws.sagemaker"] }, each.value))
}

resource "aws_cloudwatch_event_target" "reconcile" {
  for_each  = local.rules
  rule      = aws_cloudwatch_event_rule.news[each.key].name
  target_id = "reconcile"
  arn       = aws_cloudwatch_event_api_destination.reconcile.arn
  role_arn  = aws_iam_role.waker.arn
  input     = jsonencode({ ref = var.branch })
  retry_policy {
    maximum_retry_attempts       = 20
    maximum_event_age_in_seconds = 3600
  }
  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}
