"""Activates a license and uses the session: the quick start without asyncio.

Reads SKYLINE_URL, SKYLINE_IDENTITY_KEY, SKYLINE_LICENSE_KEY and SKYLINE_STATE_FOLDER.
"""

import os
import sys

import skyline


def main() -> None:
    with skyline.BlockingClient(
        url=os.environ["SKYLINE_URL"],
        identity_keys=os.environ["SKYLINE_IDENTITY_KEY"],
        license_key=os.environ["SKYLINE_LICENSE_KEY"],
        state_folder=os.environ["SKYLINE_STATE_FOLDER"],
        product_id="telepower",
        product_version="7.0.3",
    ) as client:
        session = client.session
        print("activated now:", "yes" if session.is_activated_now else "no")
        print("plan:", session.license_plan)
        print("activated on:", session.activation_date)
        print("expires on:", session.expiry_date)

        for name, value in sorted(client.limits().items()):
            print(f"limit {name}: {value}")

        client.send_event("app.navigation", {"to": "/account-manager"})
        print("event reported: app.navigation")


try:
    main()
except skyline.SkylineError as error:
    # The sentence is meant for the user; the code is for programs.
    sys.exit(f"{error.code}: {error}")
