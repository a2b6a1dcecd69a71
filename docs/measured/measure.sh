#!/bin/bash
# measure.sh [NAME...]: makes the files of this folder again, all or those that are named, and writes their figures into
# the pages. README.md says what they need.
set -eu
here=$(realpath "$(dirname "$0")")
root=$(dirname "$(dirname "$here")")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$root"
bitreplay=build/venv/bin/bitreplay

# What a command writes as one file.
file() {
    "$bitreplay" "$@" --out "$work/results.json"
}

# The results.json that a command leaves in a folder.
folder() {
    "$bitreplay" "$@" --out "$work"
}

# A command on an emulated Pico with MicroPython's own firmware, which gets the native module first.
stock() {
    "$bitreplay" emulate --image build/rp2/stock/firmware.uf2 -- sh -euc "
        $bitreplay upload --install models/small.safetensors --port {port}
        $bitreplay $* --port {port} --out '$work/results.json'"
}

# The benchmark with firmware whose kernels are C alone. It goes, whatever happens; that with assembly is made again.
plain_c() {
    trap 'rm -rf build/rp2/RPI_PICO' EXIT
    rm -rf build/rp2/RPI_PICO
    BITREPLAY_PLAIN_C=1 make firmware
    file bench --board emulated
}

# One of the experiments, whose arguments are in experiments/papers.py. What was learned is kept in build/papers: after
# Ctrl-C it goes on.
papers=build/papers
experiment() {
    "$bitreplay" experiment --protocol papers --only "$1" --out "$papers"
    cp "$papers/$1/${2:-results}.json" "$work/results.json"
}

studies() {
    "$bitreplay" experiment --protocol papers --only study --out "$papers"
    mkdir -p "$here/study"
    for folder in "$papers"/study/*/; do
        cp "$folder/runs.json" "$here/study/$(basename "$folder").json"
    done
}

# The kinds of nets of docs/results.md, which are trained first: build/nets/NAME.safetensors.
nets() {
    mkdir -p "$here/nets"
    for model in build/nets/*.safetensors; do
        "$bitreplay" bench --board emulated --model "$model" --train head --replay 20 --fresh 10 \
            --out "$here/nets/$(basename -s .safetensors "$model").json"
    done
}

small=(--model models/small.safetensors)
measure() {
    case $1 in
        memory) file report --board emulated ;;
        pico) file bench --board emulated ;;
        pico-c) plain_c ;;
        pico-deep) file bench --board emulated --model small_8x8 --train all --channels 0.25 --replay 128 --fresh 16 ;;
        firmware-small) file bench --board emulated "${small[@]}" --replay 200 --fresh 50 ;;
        pico-small) file bench --board emulated "${small[@]}" ;;
        stock-small) stock bench "${small[@]}" --replay 200 --fresh 50 ;;
        stock-memory) stock report "${small[@]}" --train head --replay 200 --fresh 50 ;;
        instructions) file bench --board instructions ;;
        demo) folder demo ;;
        equal-bytes) experiment equal-bytes runs ;;
        *) experiment "$1" ;;
    esac
}

[ $# -gt 0 ] || set -- $(cd "$here"; basename -s .json -- *.json) study
for name; do
    echo "== $name"
    case $name in
        study) studies; continue ;;
        nets) nets; continue ;;
    esac
    (measure "$name")
    make firmware
    mv "$work/results.json" "$here/$name.json"
done
build/venv/bin/python "$here/write.py"
