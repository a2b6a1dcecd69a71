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

# Head and deep learners and the baselines on as many bytes, at several numbers of fresh images a class (0: all): a
# file of study/ for each number and model. What is there already is kept.
study() {
    dataset=$1 fresh=$2 bytes=$3
    shift 3
    for n in $fresh; do
        for model in backbone backbone_4x4; do
            methods=(naive cwr replay_head joint ncm nearest slda --train head)
            [ $model = backbone ] || methods=(replay_deep joint)
            to=$here/study/$dataset-$n-$model.json
            [ ! -e "$to" ] || continue
            "$bitreplay" experiment --dataset $dataset --fresh $n --replay-bytes $bytes "$@" --model $model \
                --out "$work" --json "$work/study.json" --methods "${methods[@]}"
            mv "$work/study.json" "$to"
        done
    done
}

studies() {
    mkdir -p "$here/study"
    study fsdd "100 20 5 0" "131072 262144" --epochs 12
    study quickdraw "0 20 5" "131072 262144" --first 10 --step 10
    study fashion "100 20 5 500" 262144
    study cifar10 "500 100 20 5" 524288
    study cifar100 "100 20 5" 524288 --first 10 --step 10
}

small=(--model models/small.safetensors)
deep=(--model backbone_4x4 --methods replay_deep)
digits=(--dataset fsdd --fresh 100 --epochs 12)
sizes="65536 131072 262144"
measure() {
    case $1 in
        memory) file report --board emulated ;;
        pico) file bench --board emulated ;;
        pico-c) plain_c ;;
        pico-deep) file bench --board emulated --model small_8x8 --train all --channels 0.25 --replay 128 --fresh 16 ;;
        pico-small) file bench --board emulated "${small[@]}" ;;
        stock-small) stock bench "${small[@]}" ;;
        stock-memory) stock report "${small[@]}" --replay 200 --fresh 50 ;;
        instructions) file bench --board instructions ;;
        demo) folder demo ;;
        methods) folder experiment --methods naive cwr replay_head joint --train head ;;
        replay) folder experiment --methods replay_head --replay 250 500 1000 2000 ;;
        reservoir) folder experiment --methods replay_head --policy reservoir ;;
        digits-bytes-head) folder experiment "${digits[@]}" --methods replay_head --replay-bytes $sizes ;;
        digits-bytes) folder experiment "${digits[@]}" "${deep[@]}" --replay-bytes $sizes ;;
        digits-bits) folder experiment "${digits[@]}" "${deep[@]}" --replay-bytes 131072 --q-b 4 16 ;;
        digits-small-head) folder experiment "${digits[@]}" "${small[@]}" --fresh 20 --replay-bytes 65536 --methods replay_head ;;
        digits-small)
            folder experiment "${digits[@]}" --model small_8x8 --channels 0.25 --fresh 20 --replay-bytes 65536 --methods replay_deep ;;
        drawings-float32)
            folder experiment --dataset quickdraw --first 10 --step 10 --fresh 0 "${deep[@]}" --replay-bytes 131072 --arithmetic integer float32 ;;
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

[ $# -gt 0 ] || set -- $(cd "$here"; basename -s .json -- *.json) study
for name; do
    echo "== $name"
    if [ $name = study ]; then
        studies
        continue
    fi
    (measure "$name")
    make firmware
    mv "$work/results.json" "$here/$name.json"
done
