"""Updates an outdated program: refused as 7.0.3, it downloads the new version and logs in as that.

Reads SKYLINE_URL, SKYLINE_IDENTITY_KEY, SKYLINE_LICENSE_KEY, SKYLINE_STATE_FOLDER, and
SKYLINE_DOWNLOADS, the folder where the download is to be.
"""

import asyncio
import os
import sys

import skyline

BAR_WIDTH = 40


def client(version: str) -> skyline.Client:
    return skyline.Client(
        url=os.environ["SKYLINE_URL"],
        identity_keys=os.environ["SKYLINE_IDENTITY_KEY"],
        license_key=os.environ["SKYLINE_LICENSE_KEY"],
        state_folder=os.environ["SKYLINE_STATE_FOLDER"],
        product_id="telepower",
        product_version=version,
        language="russian",
    )


def show(progress: skyline.UpdateProgress) -> None:
    done = progress.bytes * BAR_WIDTH // progress.total
    bar = "#" * done + "." * (BAR_WIDTH - done)
    speed = progress.bytes_per_second / 2**20
    print(f"\r[{bar}] {progress.bytes}/{progress.total} bytes, {speed:.1f} MiB/s ", end="")


async def main() -> None:
    installed = client("7.0.3")
    try:
        await installed.connect()
    except skyline.OutdatedVersion as outdated:
        print(f"{outdated.code}: {outdated}")
    else:
        await installed.shutdown()
        print("this version is still served: nothing to do")
        return

    update = await installed.download_update(os.environ["SKYLINE_DOWNLOADS"], on_progress=show)
    print(f"\nverified: {update.file_name}, version {update.version}, {update.size} bytes")

    # A real program would install the file and start again here.
    async with client(update.version) as updated:
        print("logged in as", update.version, "- licensed until", updated.session.expiry_date)


try:
    asyncio.run(main())
except skyline.SkylineError as error:
    sys.exit(f"{error.code}: {error}")
