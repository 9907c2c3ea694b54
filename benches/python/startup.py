"""A worker that measures how long a program waits for the library: from before `import skyline`
until a client is made, then until it is connected.

It prints {"import_ms": …, "ready_ms": …, "connected_ms": …}, each counted from the start. What the
interpreter itself takes to start is not the library's, and not counted.
"""

import os
import time

begun = time.perf_counter()

import skyline  # noqa: E402

imported = time.perf_counter()
client = skyline.BlockingClient(
    url=os.environ["SKYLINE_URL"],
    identity_keys=os.environ["SKYLINE_IDENTITY_KEY"],
    license_key=os.environ["SKYLINE_LICENSE_KEY"],
    state_folder=os.environ["SKYLINE_STATE_FOLDER"],
    product_id="telepower",
    product_version="7.0.3",
)
ready = time.perf_counter()
client.connect()
connected = time.perf_counter()
client.shutdown()

import json  # noqa: E402

times = {"import_ms": imported, "ready_ms": ready, "connected_ms": connected}
print(json.dumps({name: (at - begun) * 1e3 for name, at in times.items()}))
