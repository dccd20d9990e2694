"""Names the resources of a template: what `Ref` and `Fn::GetAtt` return for each."""

from local.emulator.template import ACCOUNT_ID, STREAM_LABEL, Resource, Template

_NAME_PROPERTIES = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Role": "RoleName",
}


def name_resource(template: Template, resource: Resource, *, aws_url: str, api_url: str) -> None:
    """Set what `Ref` and `Fn::GetAtt` return for a resource.

    Args:
        template: Its `refs` and `attributes` are filled.
        resource: The resource.
        aws_url: The address of the AWS endpoint.
        api_url: The address of the HTTP API.
    """
    region = template.region
    logical_id = resource.logical_id
    explicit_name = resource.raw.get(_NAME_PROPERTIES.get(resource.type, ""))
    name = template.resolve(explicit_name) if explicit_name else f"{template.stack_name}-{logical_id}"
    service = resource.type.split("::")[1].lower()
    arn = f"arn:aws:{service}:{region}:{ACCOUNT_ID}:{name}"
    ref = name
    attributes: dict[str, str] = {}
    match resource.type:
        case "AWS::S3::Bucket":
            ref = name = name if explicit_name else f"{name}-local".lower()
            arn = f"arn:aws:s3:::{name}"
            attributes = {
                "DomainName": f"{name}.s3.amazonaws.com",
                "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
            }
            # Presigned URLs have the local address: 127.0.0.1 has no subdomains, so the bucket is in the path.
            template.aliases[f"https://{attributes['RegionalDomainName']}"] = f"{aws_url}/{name}"
        case "AWS::DynamoDB::Table":
            arn = f"arn:aws:dynamodb:{region}:{ACCOUNT_ID}:table/{name}"
            attributes = {"StreamArn": f"{arn}/stream/{STREAM_LABEL}"}
        case "AWS::SNS::Topic":
            ref = arn
            attributes = {"TopicName": name, "TopicArn": arn}
        case "AWS::SQS::Queue":
            ref = f"{aws_url}/{ACCOUNT_ID}/{name}"
            attributes = {"QueueName": name}
        case "AWS::Logs::LogGroup":
            arn = f"arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:{name}:*"
        case "AWS::Lambda::Function":
            arn = f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}"
        case "AWS::Lambda::LayerVersion":
            ref = arn = f"arn:aws:lambda:{region}:{ACCOUNT_ID}:layer:{name}:1"
        case "AWS::StepFunctions::StateMachine":
            ref = arn = f"arn:aws:states:{region}:{ACCOUNT_ID}:stateMachine:{name}"
            attributes = {"Name": name}
        case "AWS::IAM::Role":
            arn = f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"
        case "AWS::Events::Rule":
            arn = f"arn:aws:events:{region}:{ACCOUNT_ID}:rule/{name}"
        case "AWS::CloudFormation::Stack":
            ref = arn = f"arn:aws:cloudformation:{region}:{ACCOUNT_ID}:stack/{name}/local"
        case "AWS::CloudWatch::Alarm":
            arn = f"arn:aws:cloudwatch:{region}:{ACCOUNT_ID}:alarm:{name}"
        case "AWS::ApiGatewayV2::Api":
            ref = logical_id.lower()
            # The local API replaces the address on AWS, so that URLs in notifications and outputs work.
            template.aliases[f"https://{ref}.execute-api.{region}.amazonaws.com"] = api_url
            attributes = {"ApiEndpoint": api_url}
    template.refs[logical_id] = ref
    for attribute, value in {"Arn": arn, **attributes}.items():
        template.attributes[logical_id, attribute] = value
