// SPDX-License-Identifier: GPL-2.0
/* A PCI driver that takes one function and never lets go of it. */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/pci.h>

static char *address = "";
module_param(address, charp, 0444);
MODULE_PARM_DESC(address, "the function to take, such as 0000:42:00.0");

static int stall_probe(struct pci_dev *dev, const struct pci_device_id *id)
{
	return strcmp(pci_name(dev), address) ? -ENODEV : 0;
}

/* The PCI core calls this with the device lock held, which nobody gets from then on. */
static void stall_remove(struct pci_dev *dev)
{
	dev_info(&dev->dev, "asked to let go, and does not\n");
	for (;;)
		msleep(1000);
}

/* QEMU's bochs-display. */
static const struct pci_device_id stall_ids[] = {
	{ PCI_DEVICE(0x1234, 0x1111) },
	{ }
};

static struct pci_driver stall_driver = {
	.name = "vfio_bind_stall",
	.id_table = stall_ids,
	.probe = stall_probe,
	.remove = stall_remove,
};
module_pci_driver(stall_driver);

MODULE_DESCRIPTION("Never returns from its remove function, for tests of vfio-bind");
MODULE_LICENSE("GPL");
