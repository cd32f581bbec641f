#!/bin/sh
# What people write today: SYSFS CLASS, with 0x, four digits.
for device in "$1"/bus/pci/devices/*; do
    read -r class <"$device/class"
    case $class in
    "$2"*)
        echo vfio-pci >"$device/driver_override"
        echo "${device##*/}" >"$1/bus/pci/drivers_probe"
        ;;
    esac
done
