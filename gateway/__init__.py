"""The office box between seal devices and headquarters: carries signed bytes, decides nothing about them."""
