#!/bin/sh
# Gradescope runs this once, as root, when it builds the image. The labs need Python 3.11 or newer.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get update
apt-get install -y python3 python3-venv
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    apt-get install -y python3.11 python3.11-venv
fi
/autograder/source/project/lab doctor # makes .venv, so that no submission waits for it
