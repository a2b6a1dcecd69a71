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
deep=(--model backbone_4x4 --methods replay_deep)
head=(--methods replay_head ncm nearest slda)
digits=(--dataset fsdd --fresh 100 --epochs 12)
drawings=(--dataset quickdraw --first 10 --step 10 --fresh 75)
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
        methods) folder experiment --methods naive cwr replay_head joint --train head ;;
        replay) folder experiment --methods replay_head --replay 250 500 1000 2000 ;;
        reservoir) folder experiment --methods replay_head --policy reservoir ;;
        digits-head) folder experiment "${digits[@]}" "${head[@]}" --replay-bytes 131072 262144 ;;
        digits-deep) folder experiment "${digits[@]}" "${deep[@]}" --replay-bytes 131072 --q-b 4 16 ;;
        digits-deep-256) folder experiment "${digits[@]}" "${deep[@]}" --replay-bytes 262144 ;;
        drawings-head) folder experiment "${drawings[@]}" "${head[@]}" --replay-bytes 131072 262144 ;;
        drawings-deep) folder experiment "${drawings[@]}" "${deep[@]}" --replay-bytes 131072 262144 ;;
        fashion-head) folder experiment --dataset fashion "${head[@]}" --replay-bytes 262144 ;;
        fashion-deep) folder experiment --dataset fashion "${deep[@]}" --replay-bytes 262144 ;;
        head-bits-32) folder experiment --methods replay_head --head-bits 32 ;;
        q-f-4) folder experiment --methods replay_head --q-f 4 ;;
        q-f-2) folder experiment --methods replay_head --q-f 2 ;;
        float32) folder experiment --methods replay_head --arithmetic integer float32 ;;
        two-classes)
            folder experiment --step 2 --fresh 0 --seeds 1 --methods naive cwr replay_head ;;
        small) folder experiment "${small[@]}" --methods naive cwr replay_head joint --train head --replay 200 1000 ;;
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
