"""Let subscriptions of mail addresses wait for their confirmation, as SNS does.

The token that confirms a subscription is its address here, because no mail is sent.
https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
"""

from copy import copy
from typing import Any

from moto.core.responses import ActionResult
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription
from moto.sns.responses import SNSResponse

_MAIL_PROTOCOLS = ("email", "email-json")
_PENDING = "PendingConfirmation"
_LIST = "list_subscriptions_by_topic"
_CONFIRM = "confirm_subscription"


def install() -> None:
    """List mail addresses as pending until they are confirmed.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    for owner, name in ((SNSBackend, _LIST), (SNSResponse, _CONFIRM)):
        if not callable(getattr(owner, name, None)):
            raise RuntimeError(f"moto moved {owner.__name__}.{name}: moto_seams/subscriptions.py must follow.")
    list_all = getattr(SNSBackend, _LIST)

    def list_with_pending(self: SNSBackend, *arguments: Any, **options: Any) -> Any:
        subscriptions, next_token = list_all(self, *arguments, **options)
        return [_as_listed(subscription) for subscription in subscriptions], next_token

    setattr(SNSBackend, _LIST, list_with_pending)
    setattr(SNSResponse, _CONFIRM, _confirm)


def _as_listed(subscription: Subscription) -> Subscription:
    if subscription.protocol not in _MAIL_PROTOCOLS or subscription.confirmed:
        return subscription
    pending = copy(subscription)
    pending.arn = _PENDING
    return pending


def _confirm(self: SNSResponse) -> ActionResult:
    topic_arn = self._get_param("TopicArn")
    token = self._get_param("Token")
    for subscription in self.backend.subscriptions.values():
        if (subscription.topic_arn, subscription.endpoint) == (topic_arn, token):
            subscription.confirmed = True
            return ActionResult({"SubscriptionArn": subscription.arn})
    raise SNSInvalidParameter("Invalid parameter: Token")
