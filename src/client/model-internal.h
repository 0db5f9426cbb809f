/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MODEL_INTERNAL_H
#define PORTMON_MODEL_INTERNAL_H

/* What the parts of the model share. */

#include "client/model.h"

/** Filters and sorts the list anew, and finds the selected port in it. */
void model_order(struct model *model);

void model_clear_ports(struct model *model);

/** Another port, or none, is selected now. */
void model_forget_details(struct model *model);

#endif
