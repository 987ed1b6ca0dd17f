"""Signs a bundle for macOS ad hoc, by the package apple-platform-py.

uv run --only-group macos python installer/macos/sign_ad_hoc.py "R1 Desk.app"
"""

import sys
from pathlib import Path

import apple_platform

ENTITLEMENTS = Path(__file__).with_name("entitlements.plist")

if __name__ == "__main__":
    apple_platform.sign(sys.argv[1], entitlements_xml_file=ENTITLEMENTS)
