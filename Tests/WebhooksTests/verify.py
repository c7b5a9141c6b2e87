# Verifies deliveries with the library of Standard Webhooks: one JSON object a line, {"secret", "headers", "body"}.
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    delivery = json.loads(line)
    try:
        Webhook(delivery["secret"]).verify(delivery["body"], delivery["headers"])
        print("valid")
    except WebhookVerificationError as error:
        print(error)
