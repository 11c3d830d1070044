#!/bin/sh
# Builds llama.cpp natively, the peer that benchmarks/engine.py and tests/engine/test_against_llamacpp.py measure against.
# In: the source package of llama-cpp-python on PyPI, which carries llama.cpp whole. Out: $SMOLFORGE_PEERS/llama.cpp/bin
# (default ~/.cache/smolforge/peers) and its flags in flags.txt. A second call only prints what stands there.
set -eu

VERSION=0.3.36
PEERS=${SMOLFORGE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/smolforge/peers}
PYTHON=${PYTHON:-python3}
JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
SOURCE=$PEERS/llama_cpp_python-$VERSION/vendor/llama.cpp
HOME_OF_PEER=$PEERS/llama.cpp
TOOLS="llama-bench llama-batched-bench llama-server llama-perplexity llama-quantize"
# Upstream's own choices for the fastest CPU build: native instruction set, repacked weights, llamafile's products, OpenMP.
# Left out: the web page, its own download of models over HTTPS, and tests.
FLAGS="-DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DGGML_CPU_REPACK=ON -DGGML_LLAMAFILE=ON -DGGML_OPENMP=ON
-DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF
-DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF"

fetch() {
    [ -d "$SOURCE" ] && return
    "$PYTHON" -m pip download --quiet --no-binary :all: --no-deps --dest "$PEERS" "llama-cpp-python==$VERSION"
    tar -xzf "$PEERS/llama_cpp_python-$VERSION.tar.gz" -C "$PEERS"
}

build() {
    [ -f "$HOME_OF_PEER/flags.txt" ] && return
    # shellcheck disable=SC2086  # flags and targets are lists of words
    cmake -S "$SOURCE" -B "$HOME_OF_PEER" $FLAGS
    # shellcheck disable=SC2086
    cmake --build "$HOME_OF_PEER" --parallel "$JOBS" --target $TOOLS
    describe >"$HOME_OF_PEER/flags.txt"
}

describe() {
    echo "llama.cpp of llama-cpp-python $VERSION, commit $(cut -c1-12 "$PEERS/llama_cpp_python-$VERSION/.git/modules/vendor/llama.cpp/HEAD")"
    echo "compiler: $(c++ --version | head -n 1)"
    echo "flags:" $FLAGS "and -march=native as GGML_NATIVE adds it"
}

mkdir -p "$PEERS"
fetch
build
echo "tools: $HOME_OF_PEER/bin" >&2
cat "$HOME_OF_PEER/flags.txt"
