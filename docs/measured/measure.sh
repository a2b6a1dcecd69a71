#!/bin/bash
# measure.sh [NAME...]: makes the files of this folder again, all or those that are named. README.md says what they need.
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

small=(--model models/small.safetensors)
measure() {
    case $1 in
        memory) file report --board emulated ;;
        pico) file bench --board emulated ;;
        pico-c) plain_c ;;
        pico-deep) file bench --board emulated --model small_8x8 --train all --channels 0.125 --replay 125 --fresh 25 ;;
        pico-small) file bench --board emulated "${small[@]}" ;;
        stock-small) stock bench "${small[@]}" ;;
        stock-memory) stock report "${small[@]}" --replay 200 --fresh 50 ;;
        instructions) file bench --board instructions ;;
        demo) folder demo ;;
        methods) folder experiment ;;
        replay) folder experiment --methods replay_head replay_conv --replay 250 500 1000 2000 ;;
        reservoir) folder experiment --methods replay_conv --policy reservoir ;;
        gradient-bits) folder experiment --methods replay_conv --q-b 2 4 8 16 --rounding stochastic nearest ;;
        head-bits-32) folder experiment --methods replay_conv --head-bits 32 ;;
        q-f-4) folder experiment --methods replay_conv --q-f 4 ;;
        q-f-2) folder experiment --methods replay_conv --q-f 2 ;;
        float32) folder experiment --methods replay_head replay_conv --arithmetic integer float32 ;;
        two-classes)
            folder experiment --step 2 --fresh 0 --seeds 1 --methods naive cwr replay_head replay_conv ;;
        small) folder experiment "${small[@]}" --replay 200 1000 ;;
        *) echo "there is no $1 in $0" >&2; return 1 ;;
    esac
}

[ $# -gt 0 ] || set -- $(cd "$here"; basename -s .json -- *.json)
for name; do
    echo "== $name"
    (measure "$name")
    make firmware
    mv "$work/results.json" "$here/$name.json"
done
