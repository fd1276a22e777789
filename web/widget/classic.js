/** The widget as a classic script, for pages that can't load modules. It defines the tag, and exports nothing. */

import "./index.js";
